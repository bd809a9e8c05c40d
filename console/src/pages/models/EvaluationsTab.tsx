/** The evaluations of a version, and one of them in full: `?evaluation=`. */
import { Button } from "@mantine/core";
import { IconTargetArrow } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useMay, useProject } from "@/app/project";
import { type Column, DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { ago } from "@/ui/format";
import { Status } from "@/ui/Status";
import { useUrlState } from "@/ui/useUrlState";
import { type Evaluation, modelPath, type Version } from "./data";
import { EvaluationView } from "./EvaluationView";
import { MEASURES, score } from "./measures";
import classes from "./models.module.css";

interface Props {
  version: Version;
  chooser: ReactNode;
  onEvaluate: () => void;
}

export function EvaluationsTab({ version, chooser, onEvaluate }: Props) {
  const { t, i18n } = useTranslation("models");
  const project = useProject().name;
  const editor = useMay("editor");
  const [chosen] = useUrlState("evaluation");
  const evaluations = version.evaluations ?? [];
  const shown = evaluations.find((one) => one.id === chosen) ?? evaluations[0] ?? null;
  const may = editor && version.conversion === "ready";
  const columns: Column<Evaluation>[] = [
    { key: "data", label: t("evaluate.dataset"), cell: (one) => one.data },
    { key: "state", label: t("common:state"), cell: (one) => <Status state={one.state} title={one.message} />, width: 120 },
    ...MEASURES.map((measure): Column<Evaluation> => ({
      key: measure,
      label: t(`measures.${measure}`),
      cell: (one) => score(one[measure]),
      numeric: true,
      width: 96,
      wide: measure === "precision" || measure === "recall",
    })),
    { key: "samples", label: t("measures.samples"), cell: (one) => one.samples ?? "–", numeric: true, width: 96, wide: true },
    {
      key: "job",
      label: t("evaluate.job"),
      cell: (one) => <Link to={`/p/${project}/jobs/${one.job}`}>{one.job}</Link>,
      wide: true,
    },
    { key: "created", label: t("common:created"), cell: (one) => ago(one.created_at, i18n.language), width: 130, wide: true },
  ];
  return (
    <div className={classes.stack}>
      <div className={classes.bar}>
        {chooser}
        {may && (
          <Button variant="default" leftSection={<IconTargetArrow size={14} />} onClick={onEvaluate}>
            {t("evaluate.another")}
          </Button>
        )}
      </div>
      {evaluations.length > 1 && (
        <DataTable
          label={t("tabs.evaluations")}
          rows={evaluations}
          columns={columns}
          id={(one) => one.id}
          to={(one) => modelPath(project, version.model, { version: version.number, tab: "evaluations", evaluation: one.id })}
          height={320}
        />
      )}
      {shown ? (
        <EvaluationView key={shown.id} evaluation={shown} />
      ) : (
        <Empty
          title={t("evaluate.none")}
          cli={["nacre", "evaluate", `${version.model}/${version.number}`, "--data", "digits-test"]}
          action={may && <Button onClick={onEvaluate}>{t("actions.evaluate")}</Button>}
        >
          {version.conversion === "ready" ? t("evaluate.noneText") : t("evaluate.notReady")}
        </Empty>
      )}
    </div>
  );
}
