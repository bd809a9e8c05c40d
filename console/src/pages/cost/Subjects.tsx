/** The jobs, instances and endpoints that cost most, each with its page. */
import { Anchor, Button, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useProjects } from "@/app/ProjectSwitch";
import { DataTable } from "@/ui/DataTable";
import { Failure } from "@/ui/Failure";
import { duration } from "@/ui/format";
import { useUrlState } from "@/ui/useUrlState";
import { column } from "./columns";
import type { Line } from "./lines";
import type { Asked } from "./useAsked";
import { useSubjects } from "./useCost";

const FIRST = 20;
const MORE = 500;
const AREAS: Record<string, string> = { job: "jobs", instance: "instances", endpoint: "endpoints" };

export function Subjects({ asked }: { asked: Asked }) {
  const { t } = useTranslation("cost");
  const [all, setAll] = useUrlState("all");
  const found = useSubjects(asked, all ? MORE : FIRST);
  const mine = new Set((useProjects().data?.items ?? []).map((one) => one.name));
  if (found.error && !found.data) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return null;
  const { lines, currency } = found.data;
  const say = column(lines.map((line) => line.cost), currency);
  const name = (line: Line) => {
    const area = AREAS[line.kind ?? ""];
    if (!area || !mine.has(line.project ?? "")) return line.subject_name;
    return <Anchor size="sm" component={Link} to={`/p/${encodeURIComponent(line.project!)}/${area}/${encodeURIComponent(line.subject_name!)}`}>{line.subject_name}</Anchor>;
  };
  return (
    <>
      <Title order={2} mt="sm">
        {t("subjects.title")}
      </Title>
      <DataTable
        label={t("subjects.title")}
        rows={lines}
        id={(line) => `${line.subject!} ${line.user!}`}
        columns={[
          { key: "name", label: t("subjects.name"), cell: name },
          { key: "kind", label: t("by.kind"), cell: (line) => t(`thing.${line.kind!}`, { defaultValue: line.kind! }) },
          { key: "project", label: t("by.project"), wide: true, cell: (line) => line.project },
          { key: "user", label: t("by.user"), wide: true, cell: (line) => line.user },
          { key: "time", label: t("time"), numeric: true, cell: (line) => duration(line.seconds) },
          { key: "cost", label: t("cost"), numeric: true, cell: (line) => say(line.cost) },
        ]}
      />
      {!all && lines.length === FIRST && (
        <Button variant="default" w="fit-content" onClick={() => setAll("1")}>
          {t("subjects.more")}
        </Button>
      )}
    </>
  );
}
