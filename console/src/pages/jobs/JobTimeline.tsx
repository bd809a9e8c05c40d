/** When it waited, when it ran: bars over time for each attempt and replica, and the same as a table. */
import { SegmentedControl, Stack, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useUrlState } from "@/ui/useUrlState";
import { AttemptTable } from "./AttemptTable";
import type { Job } from "./job";
import { rows, span } from "./timeline";
import { TimelineBars } from "./TimelineBars";

export function JobTimeline({ job, now }: { job: Job; now: number }) {
  const { t } = useTranslation("jobs");
  const [view, setView] = useUrlState("time", "whole");
  const all = rows(job, now);
  const last = job.attempts?.at(-1)?.number ?? null;
  const only = view === "last" ? last : null;
  return (
    <Stack gap="lg">
      {last !== null && (
        <SegmentedControl
          aria-label={t("timeline.shown")}
          value={view}
          onChange={setView}
          data={[
            { value: "whole", label: t("timeline.whole") },
            { value: "last", label: t("timeline.last") },
          ]}
          style={{ alignSelf: "start" }}
        />
      )}
      <TimelineBars job={job} rows={only === null ? all : all.filter((row) => row.attempt === only)} range={span(all, only)} />
      <Title order={2} size="h3">
        {t("timeline.attempts")}
      </Title>
      <AttemptTable job={job} now={now} />
    </Stack>
  );
}
