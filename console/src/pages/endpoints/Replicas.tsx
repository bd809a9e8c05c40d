/** The processes behind revisions that do not run in the shared model server. */
import { useTranslation } from "react-i18next";
import { type Column, DataTable } from "@/ui/DataTable";
import { time } from "@/ui/format";
import { Status } from "@/ui/Status";
import type { Endpoint, Replica } from "./data";
import classes from "./endpoints.module.css";

type Row = Replica & { revision: number };

export function Replicas({ endpoint }: { endpoint: Endpoint }) {
  const { t, i18n } = useTranslation("endpoints");
  const separate = (endpoint.revisions ?? []).filter((one) => one.runtime === "replicas" && (one.traffic > 0 || one.replicas.length > 0));
  if (!separate.length) return null;
  const rows = separate.flatMap((one) => one.replicas.map((replica) => ({ ...replica, revision: one.number })));
  // Several that wait for the same say so once.
  const messages = [...new Set(rows.filter((one) => one.message).map((one) => t("revisions.said", { number: one.revision, message: one.message })))];
  const columns: Column<Row>[] = [
    { key: "id", label: t("replicas.replica"), cell: (one) => <code className="n-mono">{one.id}</code> },
    { key: "revision", label: t("revisions.revision"), cell: (one) => one.revision, width: 90 },
    { key: "state", label: t("common:state"), cell: (one) => <Status state={one.state} title={one.message} />, width: 120 },
    { key: "node", label: t("replicas.node"), cell: (one) => one.node ?? "–", width: 140, wide: true },
    { key: "cold", label: t("replicas.start"), cell: (one) => (one.cold_start_s == null ? "–" : `${one.cold_start_s.toFixed(1)} s`), numeric: true, width: 100, wide: true },
    { key: "created", label: t("common:created"), cell: (one) => time(one.created_at, i18n.language), width: 170, wide: true },
  ];
  return (
    <section className={classes.section}>
      <h2>{t("replicas.title")}</h2>
      <p className={classes.message} style={{ marginBottom: 8 }}>
        {separate
          .map((one) =>
            t("replicas.wanted", {
              number: one.number,
              up: one.replicas.filter((replica) => replica.state === "ready").length,
              wanted: one.wanted_replicas,
              waiting: one.waiting ?? 0,
            }),
          )
          .join(" ")}
      </p>
      {rows.length > 0 && <DataTable label={t("replicas.title")} rows={rows} columns={columns} id={(one) => one.id} />}
      {messages.map((text) => (
        <p key={text} className={classes.message} style={{ marginTop: 8 }}>
          {text}
        </p>
      ))}
    </section>
  );
}
