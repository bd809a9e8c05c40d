/** Making a token: what it may do and how long, then its secret, this once. */
import { Alert, Button, Checkbox, CopyButton, Group, Input, Modal, SegmentedControl, Select, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { Problem, type Schemas } from "@/api/client";
import { Cli, CopyLine } from "@/ui/Cli";
import { DialogButtons } from "@/ui/DialogButtons";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import classes from "./Account.module.css";
import { useCreateToken, useScopes } from "./tokens";

const DAY_S = 86_400;
const LIFETIMES = [1, 7, 30, 90, 365];

export function NewToken({ opened, close }: { opened: boolean; close: () => void }) {
  const { t } = useTranslation("account");
  const create = useCreateToken();
  const done = () => {
    close();
    create.reset();
  };
  const made = create.data;
  return (
    <Modal
      opened={opened}
      onClose={done}
      closeOnClickOutside={!made}
      size="lg"
      title={made ? t("tokens.secretTitle", { name: made.token.name }) : t("tokens.new")}
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      {made ? <Secret secret={made.secret} done={done} /> : <Form create={create} cancel={done} />}
    </Modal>
  );
}

function Secret({ secret, done }: { secret: string; done: () => void }) {
  const { t } = useTranslation("account");
  return (
    <Stack gap="md">
      <Text size="sm">{t("tokens.secretOnce")}</Text>
      <div className={classes.secret}>
        <code data-testid="secret">{secret}</code>
        <CopyButton value={secret}>
          {({ copied, copy }) => (
            <Button onClick={copy} data-autofocus>
              {copied ? t("tokens.copied") : t("tokens.copy")}
            </Button>
          )}
        </CopyButton>
      </div>
      <Text size="sm">{t("tokens.useIt")}</Text>
      <Cli words={["nacre", "login", window.location.origin, "--token", secret]} />
      <Text size="sm">{t("tokens.orVariable")}</Text>
      <CopyLine text={`export NACRE_URL=${window.location.origin} NACRE_TOKEN=${secret}`} />
      <Group justify="flex-end">
        <Button variant="default" onClick={done}>
          {t("tokens.done")}
        </Button>
      </Group>
    </Stack>
  );
}

interface Wrong {
  name?: string;
  scopes?: string;
  whole?: string;
}

function Form({ create, cancel }: { create: ReturnType<typeof useCreateToken>; cancel: () => void }) {
  const { t } = useTranslation("account");
  const [name, setName] = useState("");
  const [reach, setReach] = useState("all");
  const [scopes, setScopes] = useState<string[]>([]);
  const [days, setDays] = useState("90");
  const [wrong, setWrong] = useState<Wrong>({});
  const lifetimes = [...LIFETIMES.map((count) => ({ value: String(count), label: t("tokens.days", { count }) })), { value: "0", label: t("tokens.ever") }];

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (reach === "some" && !scopes.length) return setWrong({ scopes: t("tokens.noScope") });
    setWrong({});
    const body: Schemas["TokenCreate"] = {
      name: name.trim(),
      scopes: reach === "all" ? ["*"] : scopes,
      lifetime_s: days === "0" ? null : Number(days) * DAY_S,
    };
    create.mutate(body, {
      onError: (error) => {
        const status = error instanceof Problem ? error.status : 0;
        if (status === 409) setWrong({ name: t("tokens.taken") });
        else if (status === 422) setWrong({ name: t("tokens.badName") });
        else setWrong({ whole: error.message });
      },
    });
  };
  const command = ["nacre", "token", "create", name.trim() || "laptop"];
  for (const scope of reach === "some" ? scopes : []) command.push("--scope", scope);
  if (days !== "0") command.push("--lifetime", `${days}d`);

  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="md">
        {wrong.whole && (
          <Alert color="red" variant="outline" role="alert">
            {wrong.whole}
          </Alert>
        )}
        <TextInput
          label={t("tokens.name")}
          description={t("tokens.nameRule")}
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          maxLength={64}
          data-autofocus
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          error={wrong.name}
        />
        <Select label={t("tokens.lifetime")} data={lifetimes} value={days} onChange={(value) => value && setDays(value)} allowDeselect={false} />
        <Input.Wrapper size="xs" label={t("tokens.reach")} labelElement="div">
          <SegmentedControl
            aria-label={t("tokens.reach")}
            display="flex"
            w="fit-content"
            value={reach}
            onChange={setReach}
            data={[
              { value: "all", label: t("tokens.everything") },
              { value: "some", label: t("tokens.some") },
            ]}
          />
        </Input.Wrapper>
        {reach === "some" && <Scopes chosen={scopes} choose={setScopes} error={wrong.scopes} />}
        <Group>
          <Cli words={command} />
        </Group>
        <DialogButtons action={t("tokens.create")} busy={create.isPending} cancel={cancel} />
      </Stack>
    </form>
  );
}

function Scopes({ chosen, choose, error }: { chosen: string[]; choose: (scopes: string[]) => void; error?: string | undefined }) {
  const { t } = useTranslation("account");
  const scopes = useScopes(true);
  const [sought, setSought] = useState("");
  if (scopes.error) return <Failure error={scopes.error} retry={() => void scopes.refetch()} />;
  if (!scopes.data) return <Loading />;
  const word = sought.toLowerCase();
  const shown = scopes.data.items.filter(
    (one) => one.name.includes(word) || one.operations.some((text) => text.toLowerCase().includes(word)),
  );
  return (
    <Stack gap="xs">
      <TextInput type="search" label={t("tokens.scopes")} placeholder={t("tokens.findScope")} value={sought} onChange={(event) => setSought(event.currentTarget.value)} error={error} />
      <Checkbox.Group value={chosen} onChange={choose} aria-label={t("tokens.scopes")}>
        {/* A region that scrolls has to be reachable by keys. */}
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
        <div className={classes.scopes} role="region" aria-label={t("tokens.scopes")} tabIndex={0}>
          {shown.map((one) => (
            <div key={one.name} className={classes.scope}>
              <Checkbox value={one.name} label={<span className="n-mono">{one.name}</span>} description={one.operations.join("; ")} />
            </div>
          ))}
        </div>
      </Checkbox.Group>
    </Stack>
  );
}
