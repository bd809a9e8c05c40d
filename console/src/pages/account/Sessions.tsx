import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useSignOut } from "@/app/useSignOut";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { type Column, DataTable } from "@/ui/DataTable";
import { Failure } from "@/ui/Failure";
import { time } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { tell, tellError } from "@/ui/notify";
import classes from "./Account.module.css";
import { ended, type Token, useRevoke, useTokens } from "./tokens";

const IN_BROWSER = "console";

export function Sessions() {
  const { t, i18n } = useTranslation("account");
  const tokens = useTokens();
  const revoke = useRevoke();
  const confirm = useConfirm();
  const signOut = useSignOut();
  if (tokens.error && !tokens.data) return <Failure error={tokens.error} retry={() => void tokens.refetch()} />;
  if (!tokens.data) return <Loading />;
  const rows = tokens.data
    .filter((one) => one.kind === "session" && !ended(one))
    .sort((a, b) => Number(b.current) - Number(a.current));
  const others = rows.filter((one) => !one.current).map((one) => one.id);

  const end = async (session: Token) => {
    const lost = session.current ? t("sessions.endCurrent") : t("sessions.endLost");
    if (!(await confirm({ title: t("sessions.endTitle"), lost, action: t("sessions.end") }))) return;
    if (session.current) signOut();
    else revoke.mutate([session.id], { onSuccess: () => tell(t("sessions.ended")), onError: tellError });
  };
  const endOthers = async () => {
    const count = others.length;
    if (!(await confirm({ title: t("sessions.endOthersTitle", { count }), lost: t("sessions.endLost"), action: t("sessions.endOthers") }))) return;
    revoke.mutate(others, { onSuccess: () => tell(t("sessions.othersEnded", { count })), onError: tellError });
  };
  const columns: Column<Token>[] = [
    {
      key: "where",
      label: t("sessions.where"),
      cell: (one) => (
        <>
          {one.name === IN_BROWSER ? t("sessions.browser") : t("sessions.other")}
          {one.current && <span className={classes.mark}>{t("sessions.current")}</span>}
        </>
      ),
    },
    { key: "used", label: t("sessions.lastUsed"), cell: (one) => <Moment iso={one.last_used_at ?? one.created_at} /> },
    { key: "began", label: t("sessions.began"), wide: true, cell: (one) => time(one.created_at, i18n.language) },
    { key: "ends", label: t("sessions.ends"), wide: true, cell: (one) => (one.expires_at ? <Moment iso={one.expires_at} /> : "–") },
    {
      key: "end",
      label: t("common:actions"),
      width: 100,
      cell: (one) => (
        <Button
          variant="default"
          size="compact-xs"
          onClick={() => void end(one)}
          aria-label={t("sessions.endNamed", { date: time(one.created_at, i18n.language) })}
        >
          {t("sessions.end")}
        </Button>
      ),
    },
  ];
  return (
    <>
      <div className={classes.lead}>
        <p>{t("sessions.note")}</p>
        <Cli words={["nacre", "token", "ls"]} />
        {others.length > 0 && (
          <Button variant="default" onClick={() => void endOthers()}>
            {t("sessions.endOthers")}
          </Button>
        )}
      </div>
      <DataTable label={t("sessions.title")} rows={rows} columns={columns} id={(one) => one.id} />
    </>
  );
}
