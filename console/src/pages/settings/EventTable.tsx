/** Events, of one project or of the whole server. */
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import { DataTable } from "@/ui/DataTable";
import { Moment } from "@/ui/Moment";
import { factsOf, nameOf } from "./eventWords";

type Event = Schemas["Event"];

export function EventTable({ rows, projects = false }: { rows: Event[]; projects?: boolean }) {
  const { t } = useTranslation(["settings", "common", "nav"]);
  const server = <span className="n-soft">{t("events.server")}</span>;
  return (
    <DataTable
      label={t("tabs.events")}
      rows={rows}
      id={({ id }) => id}
      columns={[
        { key: "when", label: t("events.when"), width: 120, cell: ({ created_at }) => <Moment iso={created_at} /> },
        { key: "user", label: t("common:user"), cell: ({ user }) => user ?? server },
        { key: "verb", label: t("events.verb"), cell: ({ verb }) => <span className="n-mono">{verb}</span> },
        ...(projects ? [{ key: "project", label: t("nav:project"), wide: true, cell: ({ project }: Event) => project ?? <span className="n-soft">–</span> }] : []),
        { key: "subject", label: t("events.subject"), cell: (event) => <Subject event={event} /> },
        { key: "detail", label: t("events.detail"), cell: (event) => <span className="n-soft">{factsOf(event)}</span> },
      ]}
    />
  );
}

function Subject({ event }: { event: Event }) {
  return <span title={event.subject}>{nameOf(event) ?? <span className="n-mono">{event.subject}</span>}</span>;
}
