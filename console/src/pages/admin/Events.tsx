/** Everything that was done on the server, by whom, newest first: also the audit trail. */
import { Group, Stack, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { EventTable } from "@/pages/settings/EventTable";
import { Cli } from "@/ui/Cli";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { useUrlState } from "@/ui/useUrlState";
import { More } from "./More";
import { usePages } from "./usePages";

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
      <Group gap="sm" align="flex-end" role="group" aria-label={t("common:filter")}>
        {FIELDS.map((field) => (
          <TextInput
            key={field}
            label={t(`events.${field}`)}
            placeholder={field === "verb" ? "jobs.submit" : undefined}
            value={values[field]}
            onChange={(event) => setters[field](event.currentTarget.value)}
            spellCheck={false}
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
        <EventTable rows={events.rows} projects />
      )}
      <More {...events} />
      <Group>
        <Cli words={["nacre", ...(project ? ["-p", project] : []), "event", "ls", ...(project ? [] : ["--all"]), ...words]} />
      </Group>
    </Stack>
  );
}
