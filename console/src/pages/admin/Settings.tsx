/** What holds for the whole server, each with what it means for people. */
import { Button, Group, NumberInput, Radio, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "@/api/client";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { tell } from "@/ui/notify";
import classes from "./Settings.module.css";

type Known = Schemas["Settings"];

const KEY = ["admin", "settings"];
const POLICIES = ["open", "invite", "closed"] as const;

export function Settings() {
  const { t } = useTranslation("admin");
  const settings = useQuery({ queryKey: KEY, queryFn: () => ask(api.GET("/api/v1/settings")) });
  if (settings.error && !settings.data) return <Failure error={settings.error} retry={() => void settings.refetch()} />;
  if (!settings.data) return <Loading />;
  return (
    <Stack gap="lg" maw={720}>
      <SignUp known={settings.data} />
      <Trash known={settings.data} />
      <section className={classes.card}>
        <Title order={2}>{t("settings.prices")}</Title>
        <Text size="sm" c="dimmed">
          {t("settings.pricesText")}
        </Text>
        <Group>
          <Cli words={["nacre", "offer"]} />
        </Group>
      </section>
    </Stack>
  );
}

function useSet() {
  const { t } = useTranslation("admin");
  const client = useQueryClient();
  return useMutation({
    mutationFn: (change: Schemas["SettingsUpdate"]) => ask(api.PATCH("/api/v1/settings", { body: change })),
    onSuccess: (now) => {
      client.setQueryData(KEY, now);
      tell(t("settings.saved"));
    },
  });
}

function SignUp({ known }: { known: Known }) {
  const { t } = useTranslation("admin");
  const [policy, setPolicy] = useState<string>(known.sign_up_set ? known.sign_up : "");
  const set = useSet();
  return (
    <section className={classes.card} aria-labelledby="settings-sign-up">
      <Title order={2} id="settings-sign-up">
        {t("settings.signUp")}
      </Title>
      <Radio.Group value={policy} onChange={setPolicy} aria-labelledby="settings-sign-up">
        <Stack gap="sm">
          {POLICIES.map((one) => (
            <Radio key={one} value={one} size="xs" label={t(`policy.${one}`)} description={t(`policyMeans.${one}`)} />
          ))}
        </Stack>
      </Radio.Group>
      {!known.sign_up_set && (
        <Text size="sm" c="dimmed">
          {t("settings.signUpDefault")}
        </Text>
      )}
      {set.error && <Failure error={set.error} />}
      <Group justify="space-between">
        <Cli words={["nacre", "settings", "set", "--sign-up", policy || "invite"]} />
        <Button disabled={policy === (known.sign_up_set ? known.sign_up : "")} loading={set.isPending} onClick={() => set.mutate({ sign_up: policy as Known["sign_up"] })}>
          {t("settings.saveSignUp")}
        </Button>
      </Group>
    </section>
  );
}

function Trash({ known }: { known: Known }) {
  const { t } = useTranslation("admin");
  const confirm = useConfirm();
  const [days, setDays] = useState<number | string>(known.trash_days);
  const set = useSet();
  const valid = typeof days === "number" && Number.isInteger(days) && days >= 0 && days <= 36_500;
  const save = async () => {
    if (!valid) return;
    const question = {
      title: t("settings.trashTitle"),
      lost: t("settings.trashLost", { count: days, before: known.trash_days }),
      action: t("common:save"),
    };
    if (days < known.trash_days && !(await confirm(question))) return;
    set.mutate({ trash_days: days });
  };
  return (
    <section className={classes.card} aria-labelledby="settings-trash">
      <Title order={2} id="settings-trash">
        {t("settings.trash")}
      </Title>
      <NumberInput
        label={t("settings.trashDays")}
        description={t("settings.trashMeans")}
        value={days}
        onChange={setDays}
        min={0}
        max={36_500}
        allowDecimal={false}
        error={valid ? undefined : t("settings.trashBad")}
        maw={320}
      />
      {set.error && <Failure error={set.error} />}
      <Group justify="space-between">
        <Cli words={["nacre", "settings", "set", "--trash-days", String(days)]} />
        <Button disabled={!valid || days === known.trash_days} loading={set.isPending} onClick={() => void save()}>
          {t("settings.saveTrash")}
        </Button>
      </Group>
    </section>
  );
}
