/** What happened in the project, by whom, newest first; new events come by themselves. */
import { Button, Group, Select, Stack, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { useLive } from "@/api/live";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { useUrlState } from "@/ui/useUrlState";
import { EventTable } from "./EventTable";
import { NOUNS, wanted } from "./eventWords";

const PAGE = 100;

export function Events() {
  const { t } = useTranslation(["settings", "common"]);
  const project = useProject().name;
  const client = useQueryClient();
  const [verb, setVerb] = useUrlState("verb");
  const [user, setUser] = useUrlState("user");
  const [subject, setSubject] = useUrlState("subject");
  const [before, setBefore] = useUrlState("before");
  const [asked] = useDebouncedValue(JSON.stringify(wanted({ verb, user, subject, before })), 250);
  const key = ["events", project, asked];
  const events = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => {
      const query = { ...(JSON.parse(asked) as ReturnType<typeof wanted>), limit: PAGE, ...(pageParam ? { cursor: pageParam } : {}) };
      return ask(api.GET("/api/v1/projects/{project}/events", { params: { path: { project }, query } }));
    },
    initialPageParam: "",
    getNextPageParam: (last) => last.next ?? undefined,
    placeholderData: (old) => old,
  });
  useLive({ topic: "events", project }, (data) => {
    if ((data.events as unknown[] | undefined)?.length && !before) void client.invalidateQueries({ queryKey: key });
  });
  const rows = events.data?.pages.flatMap((page) => page.items);
  const filtered = Boolean(verb || user || subject || before);
  const words = [...(verb ? ["--verb", verb] : []), ...(user ? ["--user", user] : []), ...(subject ? ["--subject", subject] : []), ...(before ? ["--before", before] : [])];
  const choices: { value: string; label: string }[] = NOUNS.map((noun) => ({ value: noun, label: t(`events.nouns.${noun}`) }));
  // A link may ask for one verb, which the list has not.
  if (verb && !choices.some(({ value }) => value === verb)) choices.push({ value: verb, label: verb });
  return (
    <Stack gap="md">
      <Group gap="sm" align="flex-end" role="group" aria-label={t("common:filter")}>
        <Select
          label={t("events.verb")}
          placeholder={t("events.any")}
          data={choices}
          value={verb || null}
          onChange={(value) => setVerb(value ?? "")}
          clearable
          w={160}
        />
        <TextInput label={t("common:user")} value={user} onChange={(event) => setUser(event.currentTarget.value)} w={140} spellCheck={false} />
        <TextInput label={t("events.subject")} value={subject} onChange={(event) => setSubject(event.currentTarget.value)} w={180} spellCheck={false} />
        <TextInput label={t("events.before")} type="date" value={before} onChange={(event) => setBefore(event.currentTarget.value)} w={150} />
      </Group>
      {events.error && <Failure error={events.error} retry={() => void events.refetch()} />}
      {!rows ? (
        !events.error && <Loading />
      ) : rows.length === 0 ? (
        <Empty title={filtered ? t("events.noneSuch") : t("events.none")} cli={["nacre", "-p", project, "event", "ls", ...words]} />
      ) : (
        <>
          <EventTable rows={rows} />
          <Group gap="sm">
            {events.hasNextPage && (
              <Button variant="default" onClick={() => void events.fetchNextPage()} loading={events.isFetchingNextPage}>
                {t("common:showMore")}
              </Button>
            )}
            {filtered && <Cli words={["nacre", "-p", project, "event", "ls", ...words]} />}
          </Group>
        </>
      )}
    </Stack>
  );
}
