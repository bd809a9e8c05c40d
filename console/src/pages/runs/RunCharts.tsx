/** The charts of one run, with their settings: on its own page, and on its job's. */
import { Stack } from "@mantine/core";
import { useMemo } from "react";
import { colorsOf } from "@/ui/charts/colors";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { ChartBar } from "./charts/ChartBar";
import { ChartGrid } from "./charts/ChartGrid";
import { useChartSettings } from "./charts/settings";
import { useRunIds, useRuns } from "./facts";
import { isSystem } from "./system/system";

/** `run`: its id, its name, or its job's name. */
export function RunCharts({ project, run }: { project: string; run: string }) {
  const [settings, change] = useChartSettings();
  const references = useMemo(() => [run], [run]);
  const found = useRunIds(project, references);
  const { runs, loading, error } = useRuns(project, found.ids);
  const colors = useMemo(() => colorsOf(found.ids), [found.ids]);
  const wrong = found.error ?? error;
  if (wrong && runs.length === 0) return <Failure error={wrong} />;
  if (loading || (runs.length === 0 && !wrong)) return <Loading />;
  return (
    <Stack gap="lg">
      <ChartBar settings={settings} change={change} />
      <ChartGrid project={project} runs={runs} colors={colors} settings={settings} change={change} without={isSystem} />
    </Stack>
  );
}
