/** Values that work gets and nobody can read again. */
import { ActionIcon, Button, Group, PasswordInput, SegmentedControl, Stack, Textarea, TextInput } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { tell, tellError } from "@/ui/notify";
import classes from "./Settings.module.css";

type Secret = Schemas["Secret"];

export function Secrets() {
  const { t } = useTranslation(["settings", "common"]);
  const project = useProject().name;
  const may = useMay("editor");
  const confirm = useConfirm();
  const client = useQueryClient();
  const key = ["secrets", project];
  const secrets = useQuery({
    queryKey: key,
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/secrets", { params: { path: { project }, query: { limit: 1000 } } })),
  });
  const again = () => client.invalidateQueries({ queryKey: key });
  const remove = useMutation({
    mutationFn: (secret: string) => ask(api.DELETE("/api/v1/projects/{project}/secrets/{secret}", { params: { path: { project, secret } } })),
    onSuccess: (_, name) => tell(t("secrets.deleted", { name })),
    onError: tellError,
    onSettled: again,
  });
  const begin = async (name: string) => {
    if (await confirm({ title: t("secrets.question", { name }), lost: t("secrets.lost"), action: t("common:delete") })) remove.mutate(name);
  };
  if (secrets.error) return <Failure error={secrets.error} retry={() => void secrets.refetch()} />;
  if (!secrets.data) return <Loading />;
  const rows = [...secrets.data.items].sort((a, b) => a.name.localeCompare(b.name));
  return (
    <Stack gap="lg">
      <p className={classes.note}>{t("secrets.text")}</p>
      {may && <SetSecret known={rows.map(({ name }) => name)} done={again} />}
      {rows.length === 0 ? (
        <Empty title={t("secrets.none")} cli={["nacre", "-p", project, "secret", "set", "HF_TOKEN"]}>
          {t("secrets.noneText")}
        </Empty>
      ) : (
        <DataTable
          label={t("tabs.secrets")}
          rows={rows}
          id={({ name }) => name}
          columns={[
            { key: "name", label: t("common:name"), cell: ({ name }) => <span className="n-mono">{name}</span> },
            { key: "kind", label: t("secrets.kind"), cell: (secret) => <Place secret={secret} /> },
            { key: "updated", label: t("common:updated"), wide: true, cell: ({ updated_at }) => <Moment iso={updated_at} /> },
            ...(may
              ? [
                  {
                    key: "delete",
                    label: t("common:actions"),
                    width: 80,
                    cell: ({ name }: Secret) => (
                      <ActionIcon aria-label={t("secrets.delete", { name })} onClick={() => void begin(name)}>
                        <IconTrash size={16} />
                      </ActionIcon>
                    ),
                  },
                ]
              : []),
          ]}
        />
      )}
    </Stack>
  );
}

function Place({ secret }: { secret: Secret }) {
  const { t } = useTranslation("settings");
  const place = secret.kind === "file" ? `/run/secrets/${secret.name}` : `$${secret.name}`;
  return (
    <span>
      {t(`secrets.kinds.${secret.kind}`)} <span className="n-soft n-mono">{place}</span>
    </span>
  );
}

function SetSecret({ known, done }: { known: string[]; done: () => void }) {
  const { t } = useTranslation(["settings", "common"]);
  const project = useProject().name;
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const [kind, setKind] = useState<Secret["kind"]>("variable");
  const set = useMutation({
    mutationFn: () =>
      ask(api.PUT("/api/v1/projects/{project}/secrets/{secret}", { params: { path: { project, secret: name } }, body: { value, kind } })),
    onSuccess: () => {
      tell(t("secrets.set", { name }));
      setName("");
      setValue("");
      done();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name && value) set.mutate();
  };
  const replaces = known.includes(name);
  const Value = kind === "file" ? FileValue : PasswordInput;
  return (
    <form onSubmit={submit} className={classes.narrow} autoComplete="off">
      <Stack gap="sm">
        <Group gap="sm" align="flex-end">
          <TextInput label={t("common:name")} placeholder="HF_TOKEN" value={name} onChange={(event) => setName(event.currentTarget.value.trim())} autoComplete="off" spellCheck={false} w={220} />
          <SegmentedControl
            aria-label={t("secrets.kind")}
            value={kind}
            onChange={(chosen) => setKind(chosen as Secret["kind"])}
            data={[
              { value: "variable", label: t("secrets.kinds.variable") },
              { value: "file", label: t("secrets.kinds.file") },
            ]}
          />
        </Group>
        <Value
          label={t("secrets.value")}
          value={value}
          onChange={(event: { currentTarget: { value: string } }) => setValue(event.currentTarget.value)}
          autoComplete="new-password"
        />
        {/* The server says whether it is the name or the value. */}
        {set.error && (
          <p className={classes.fault} role="alert">
            {set.error.message}
          </p>
        )}
        <Group gap="sm">
          <Button type="submit" disabled={!name || !value} loading={set.isPending}>
            {replaces ? t("secrets.replace") : t("secrets.keep")}
          </Button>
          <Cli words={["nacre", "-p", project, "secret", "set", name || "NAME", ...(kind === "file" ? ["--file", "--from-file", "PATH"] : [])]} />
        </Group>
      </Stack>
    </form>
  );
}

/** A file has lines, which a field for passwords would lose. */
function FileValue(props: { label: string; value: string; onChange: (event: { currentTarget: { value: string } }) => void }) {
  const { label, value, onChange } = props;
  return <Textarea label={label} value={value} onChange={onChange} autosize minRows={4} maxRows={12} spellCheck={false} classNames={{ input: "n-mono" }} />;
}
