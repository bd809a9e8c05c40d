/** Everything that was done on the server, by whom, newest first: also the audit trail. */
import { Group, Stack, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "@/api/client";
import { Cli } from "@/ui/Cli";
import { DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { useUrlState } from "@/ui/useUrlState";
import { told } from "./events";
import { Moment } from "./Moment";
import { More } from "./More";
import { usePages } from "./usePages";

type Event = Schemas["Event"];

const FIELDS = ["verb", "user", "project", "subject"] as const;

export function Events() {
  const { t } = useTranslation("admin");
  const [verb, setVerb] = useUrlState("verb");
  const [user, setUser] = useUrlState("user");
  const [project, setProject] = useUrlState("project");
  const [subject, setSubject] = useUrlState("subject");
  const values = { verb, user, project, subject };
  const setters = { verb: setVerb, user: setUser, project: setProject, subject: setSubject };
  const [asked] = useDebouncedValue(JSON.stringify(values), 250);
  const events = usePages(["admin", "events", asked], (cursor) => {
    const wanted = Object.entries(JSON.parse(asked) as typeof values).filter(([, value]) => value.trim() !== "");
    const query = { limit: 100, cursor: cursor ?? null, ...Object.fromEntries(wanted.map(([name, value]) => [name, value.trim()])) };
    return ask(api.GET("/api/v1/events", { params: { query } }));
  });
  const words = FIELDS.filter((field) => values[field] && field !== "project").flatMap((field) => [`--${field}`, values[field]]);
  return (
    <Stack gap="md">
      <Group gap="sm" role="group" aria-label={t("common:filter")}>
        {FIELDS.map((field) => (
          <TextInput
            key={field}
            aria-label={t(`events.${field}`)}
            placeholder={t(`events.${field}`)}
            value={values[field]}
            onChange={(event) => setters[field](event.currentTarget.value)}
            w={160}
          />
        ))}
      </Group>
      {events.error && <Failure error={events.error} retry={events.retry} />}
      {!events.rows ? (
        !events.error && <Loading />
      ) : events.rows.length === 0 ? (
        <Empty title={t("events.none")}>{t("events.noneText")}</Empty>
      ) : (
        <DataTable
          label={t("tabs.events")}
          rows={events.rows}
          id={(event) => event.id}
          columns={[
            { key: "when", label: t("events.when"), width: 110, cell: (event) => <Moment iso={event.created_at} /> },
            { key: "user", label: t("events.user"), cell: (event) => event.user ?? "–" },
            { key: "verb", label: t("events.what"), cell: (event) => <span className="n-mono">{event.verb}</span> },
            { key: "project", label: t("events.project"), cell: (event) => event.project ?? <span className="n-soft">{t("events.ofServer")}</span> },
            { key: "detail", label: t("events.detail"), cell: (event: Event) => <Detail event={event} /> },
          ]}
        />
      )}
      <More {...events} />
      <Group>
        <Cli words={["nacre", ...(project ? ["-p", project] : []), "event", "ls", ...(project ? [] : ["--all"]), ...words]} />
      </Group>
    </Stack>
  );
}

function Detail({ event }: { event: Event }) {
  const text = told(event.detail ?? {}) || event.subject;
  return (
    <span title={`${event.subject} ${text}`} className="n-soft">
      {text}
    </span>
  );
}
