import { Alert, Button, Stack, Title } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, Problem } from "@/api/client";
import { ME, useUser } from "@/app/session";
import { Secret } from "@/pages/door/Secret";
import { Cli } from "@/ui/Cli";
import { time } from "@/ui/format";
import { tell } from "@/ui/notify";
import classes from "./Account.module.css";

export function Profile() {
  const { t, i18n } = useTranslation("account");
  const user = useUser();
  return (
    <>
      <section className={classes.section} aria-labelledby="profile">
        <Title order={2} id="profile">
          {t("profile.title")}
        </Title>
        <dl className={classes.facts}>
          <dt>{t("profile.name")}</dt>
          <dd>{user.name}</dd>
          <dt>{t("profile.email")}</dt>
          <dd>{user.email ?? "–"}</dd>
          <dt>{t("profile.role")}</dt>
          <dd>{user.admin ? t("administrator") : t("profile.member")}</dd>
          <dt>{t("profile.made")}</dt>
          <dd>{time(user.created_at, i18n.language)}</dd>
          <dt>{t("profile.id")}</dt>
          <dd className="n-mono">{user.id}</dd>
        </dl>
        <Cli words={["nacre", "user", "me"]} />
      </section>
      <section className={classes.section} aria-labelledby="password">
        <Title order={2} id="password">
          {t("password.title")}
        </Title>
        <Password />
      </section>
    </>
  );
}

type Wrong = Partial<Record<"old" | "fresh" | "again" | "whole", string>>;

function Password() {
  const { t } = useTranslation("account");
  const client = useQueryClient();
  const user = useUser();
  const [fields, setFields] = useState({ old: "", fresh: "", again: "" });
  const [wrong, setWrong] = useState<Wrong>({});
  const [busy, setBusy] = useState(false);
  const first = !user.has_password;

  const set = (field: keyof typeof fields) => (event: { currentTarget: { value: string } }) => {
    const { value } = event.currentTarget;
    setFields((before) => ({ ...before, [field]: value }));
  };
  const refused = (error: unknown): Wrong => {
    if (!(error instanceof Problem)) return { whole: String(error) };
    const extra = (error.extra.extra ?? {}) as Record<string, unknown>;
    if (error.status === 429) return { whole: t("password.slow", { count: Number(extra.retry_after_s ?? 1) }) };
    if (error.status === 403 && error.detail.includes("old password is wrong")) return { old: t("password.wrong") };
    if (error.status === 422) return { fresh: t("password.short") };
    return { whole: error.detail };
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (fields.fresh.length < 8) return setWrong({ fresh: t("password.short") });
    if (fields.fresh !== fields.again) return setWrong({ again: t("password.different") });
    setWrong({});
    setBusy(true);
    try {
      await ask(api.POST("/api/v1/me/password", { body: { old: first ? "" : fields.old, new: fields.fresh } }));
      setFields({ old: "", fresh: "", again: "" });
      tell(t("password.changed"));
      await client.invalidateQueries({ queryKey: ME });
      await client.invalidateQueries({ queryKey: ["tokens"] });
    } catch (error) {
      setWrong(refused(error));
    }
    setBusy(false);
  };

  return (
    <form onSubmit={(event) => void submit(event)} noValidate>
      <Stack gap="md">
        <p className="n-soft">{first ? t("password.none") : t("password.note")}</p>
        {wrong.whole && (
          <Alert color="red" variant="outline" role="alert">
            {wrong.whole}
          </Alert>
        )}
        <input type="text" name="username" autoComplete="username" value={user.name} readOnly hidden />
        {!first && (
          <Secret label={t("password.old")} autoComplete="current-password" value={fields.old} onChange={set("old")} error={wrong.old} />
        )}
        <Secret
          label={t("password.new")}
          description={t("password.rule")}
          autoComplete="new-password"
          maxLength={256}
          value={fields.fresh}
          onChange={set("fresh")}
          error={wrong.fresh}
        />
        <Secret label={t("password.again")} autoComplete="new-password" maxLength={256} value={fields.again} onChange={set("again")} error={wrong.again} />
        <Button type="submit" loading={busy} w="fit-content">
          {first ? t("password.set") : t("password.change")}
        </Button>
        <Cli words={first ? ["nacre", "user", "password", "--first"] : ["nacre", "user", "password"]} />
      </Stack>
    </form>
  );
}
