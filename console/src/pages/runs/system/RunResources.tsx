/** What the replicas of a run's job used of the machine: processor, memory, GPUs, disk, network, over time. */
import { MultiSelect, Stack } from "@mantine/core";
import { useMemo, useRef } from "react";
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { useUrlList, useUrlState } from "@/ui/useUrlState";
import type { FeedSpec, Range } from "../charts/chartFeed";
import classes from "../charts/Charts.module.css";
import { useFeed } from "../charts/useFeed";
import { numeric, type RunRecord, useRunIds, useRuns } from "../facts";
import { LatestTable } from "./LatestTable";
import { ResourceChart } from "./ResourceChart";
import { charts, ranksOf } from "./system";
import { useWidth } from "./useWidth";

/** Replicas that are drawn before somebody chooses. */
const SOME = 16;

interface Props {
  project: string;
  /** Its id, its name, or its job's name. */
  run: string;
  job: Schemas["Job"] | null;
}

export function RunResources({ project, run, job }: Props) {
  const found = useRunIds(project, useMemo(() => [run], [run]));
  const { runs, loading, error } = useRuns(project, found.ids);
  const wrong = found.error ?? error;
  if (wrong && runs.length === 0) return <Failure error={wrong} />;
  if (loading || !runs[0]) return <Loading />;
  return <Resources project={project} run={runs[0]} job={job} />;
}

function Resources({ project, run, job }: { project: string; run: RunRecord; job: Props["job"] }) {
  const { t } = useTranslation("system");
  const known = Object.keys(run.metrics ?? {}).sort().join("\n");
  const keys = useMemo(() => known.split("\n").filter(Boolean), [known]);
  const ranks = useMemo(() => ranksOf(keys), [keys]);
  const [chosen, setChosen] = useUrlList("rank");
  const shownRanks = useMemo(() => {
    const some = chosen.map(Number).filter((rank) => ranks.includes(rank));
    return new Set(some.length ? some : ranks.slice(0, SOME));
  }, [chosen, ranks]);
  const shown = useMemo(() => charts(keys, shownRanks), [keys, shownRanks]);
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const startMs = Date.parse(run.started_at);
  const spec = useMemo<FeedSpec>(() => ({ runs: width === null ? [] : [{ id: run.id, startMs }], axis: "time", width: width ?? 0 }), [run.id, startMs, width]);
  const feed = useFeed(project, spec);
  const [span, setSpan] = useUrlState("span");
  const range = useMemo(() => rangeOf(span), [span]);
  const latest = useMemo(() => Object.fromEntries(keys.map((key) => [key, { last: numeric(run.metrics?.[key]?.last), most: numeric(run.metrics?.[key]?.max) }])), [keys, run.metrics]);
  return (
    <Stack gap="lg" ref={box}>
      {shown.length === 0 ? (
        <Empty title={t("none")}>{run.state === "running" ? t("noneYet") : t("noneEver")}</Empty>
      ) : (
        <>
          {ranks.length > 1 && (
            <MultiSelect
              label={t("replicas")}
              description={ranks.length > SOME ? t("some", { count: SOME }) : undefined}
              placeholder={chosen.length ? "" : t("all")}
              data={ranks.map((rank) => ({ value: String(rank), label: t("replica", { rank }) }))}
              value={chosen}
              onChange={setChosen}
              searchable
              clearable
              clearButtonProps={{ "aria-label": t("all") }}
              maw={480}
            />
          )}
          <div className={classes.grid}>
            {shown.map((chart) => (
              <ResourceChart
                key={chart.family + chart.name}
                feed={feed}
                chart={chart}
                job={job}
                range={range}
                onZoom={(one) => setSpan(one ? `${Math.round(one[0])}~${Math.round(one[1])}` : "")}
              />
            ))}
          </div>
          <LatestTable charts={shown} values={latest} />
        </>
      )}
    </Stack>
  );
}

/** The part of time that the address names. */
function rangeOf(text: string): Range | null {
  const [low, high] = text.split("~").map(Number);
  return low !== undefined && high !== undefined && low < high ? [low, high] : null;
}
