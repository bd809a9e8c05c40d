/** The log of a job: of one of its replicas where it has several. */
import { Group, Select, Stack } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { LogView } from "@/ui/LogView";
import { useUrlState } from "@/ui/useUrlState";
import { hasEnded, type Job, mostReplicas } from "./job";
import { stateOf } from "./words";

export function LogTab({ job }: { job: Job }) {
  const { t } = useTranslation("jobs");
  const { t: states } = useTranslation("status");
  const { name: project } = useProject();
  const [said, setSaid] = useUrlState("replica", "0");
  const count = mostReplicas(job);
  const replica = /^\d+$/.test(said) && Number(said) < count ? Number(said) : 0;
  const live = !hasEnded(job);
  if (count === 1) return <LogView project={project} source={{ kind: "job", name: job.name }} live={live} />;
  const latest = job.attempts?.at(-1)?.replicas ?? [];
  const label = (rank: number) => {
    const its = latest.find((one) => one.rank === rank);
    return its ? t("log.choice", { rank, state: states(stateOf(its)), node: its.node }) : t("replica", { rank });
  };
  return (
    <Stack gap="sm">
      <Group gap="sm" align="center">
        <Select
          aria-label={t("log.replica")}
          data={Array.from({ length: count }, (_, rank) => ({ value: String(rank), label: label(rank) }))}
          value={String(replica)}
          onChange={(next) => setSaid(next ?? "0")}
          allowDeselect={false}
          searchable={count > 12}
          w={280}
        />
        <Cli words={["nacre", "logs", ...(live ? ["-f"] : []), "--replica", String(replica), job.name]} />
      </Group>
      <LogView project={project} source={{ kind: "job", name: job.name, replica }} live={live} />
    </Stack>
  );
}
