import { Button } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { type Column, DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { tell, tellError } from "@/ui/notify";
import classes from "./Account.module.css";
import { NewToken } from "./NewToken";
import { ended, type Token, useRevoke, useTokens } from "./tokens";

const SHOWN = 3;
/** The model server, which alone hears of its uses, does not tell of them. */
const onlyAsks = (token: Token) => token.scopes.length === 1 && token.scopes[0] === "endpoints:invoke";

export function Tokens() {
  const { t } = useTranslation("account");
  const tokens = useTokens();
  const revoke = useRevoke();
  const confirm = useConfirm();
  const [making, setMaking] = useState(false);
  const add = (
    <Button leftSection={<IconPlus size={14} />} onClick={() => setMaking(true)}>
      {t("tokens.new")}
    </Button>
  );
  const remove = async (token: Token) => {
    const name = token.name;
    if (!(await confirm({ title: t("tokens.revokeTitle", { name }), lost: t("tokens.revokeLost"), action: t("tokens.revoke") }))) return;
    revoke.mutate([token.id], { onSuccess: () => tell(t("tokens.revoked", { name })), onError: tellError });
  };
  const columns: Column<Token>[] = [
    { key: "name", label: t("tokens.name"), cell: (token) => token.name },
    { key: "scopes", label: t("tokens.reach"), wide: true, cell: (token) => <Scopes scopes={token.scopes} /> },
    {
      key: "expires",
      label: t("tokens.expires"),
      cell: (token) =>
        !token.expires_at ? t("tokens.never") : ended(token) ? t("tokens.expired") : <Moment iso={token.expires_at} />,
    },
    {
      key: "used",
      label: t("tokens.lastUsed"),
      wide: true,
      cell: (token) => (token.last_used_at ? <Moment iso={token.last_used_at} /> : t(onlyAsks(token) ? "tokens.notTold" : "tokens.notUsed")),
    },
    { key: "created", label: t("common:created"), wide: true, cell: (token) => <Moment iso={token.created_at} /> },
    {
      key: "revoke",
      label: t("common:actions"),
      width: 90,
      cell: (token) => (
        <Button variant="default" size="compact-xs" onClick={() => void remove(token)} aria-label={t("tokens.revokeNamed", { name: token.name })}>
          {t("tokens.revoke")}
        </Button>
      ),
    },
  ];
  if (tokens.error && !tokens.data) return <Failure error={tokens.error} retry={() => void tokens.refetch()} />;
  if (!tokens.data) return <Loading />;
  const rows = tokens.data.filter((token) => token.kind === "user");
  return (
    <>
      {rows.length === 0 ? (
        <Empty title={t("tokens.emptyTitle")} action={add} cli={["nacre", "token", "create", "laptop"]}>
          {t("tokens.empty")}
        </Empty>
      ) : (
        <>
          <div className={classes.lead}>
            <p>{t("tokens.note")}</p>
            <Cli words={["nacre", "token", "ls"]} />
            {add}
          </div>
          <DataTable label={t("tokens.title")} rows={rows} columns={columns} id={(token) => token.id} />
        </>
      )}
      <NewToken opened={making} close={() => setMaking(false)} />
    </>
  );
}

function Scopes({ scopes }: { scopes: string[] }) {
  const { t } = useTranslation("account");
  if (scopes.includes("*")) return <>{t("tokens.allScopes")}</>;
  const rest = scopes.length - SHOWN;
  return (
    <span title={scopes.join(", ")}>
      <span className="n-mono">{scopes.slice(0, SHOWN).join(", ")}</span>
      {rest > 0 && <span className={classes.soft}> {t("tokens.more", { count: rest })}</span>}
    </span>
  );
}
