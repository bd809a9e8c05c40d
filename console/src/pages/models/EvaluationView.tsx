/** What one evaluation measured: figures, confusion matrix, classes. */
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useProject } from "@/app/project";
import { ConfusionMatrix } from "@/ui/ConfusionMatrix";
import { type Column, DataTable } from "@/ui/DataTable";
import { Figure, Figures } from "@/ui/Figures";
import { duration, number } from "@/ui/format";
import { Status } from "@/ui/Status";
import { useSorted } from "@/ui/useSorted";
import type { Evaluation } from "./data";
import { type ClassMeasures, confusedMost, MEASURES, perClass, score } from "./measures";
import classes from "./models.module.css";

export function EvaluationView({ evaluation }: { evaluation: Evaluation }) {
  const { t } = useTranslation("models");
  const base = `/p/${useProject().name}`;
  const [dataset, version] = evaluation.data.split("@");
  const took = evaluation.ended_at ? (Date.parse(evaluation.ended_at) - Date.parse(evaluation.created_at)) / 1000 : null;
  const confused = confusedMost(evaluation);
  return (
    <div className={classes.stack}>
      <div className={classes.bar} style={{ alignItems: "center", fontSize: 13 }}>
        <Status state={evaluation.state} title={evaluation.message} />
        <Link to={`${base}/data/${dataset}?version=${version}`}>{evaluation.data}</Link>
        <Link to={`${base}/jobs/${evaluation.job}`}>{evaluation.job}</Link>
        {took !== null && <span className="n-soft">{duration(took)}</span>}
      </div>
      {evaluation.state === "running" && <p className={classes.message}>{t("evaluate.running")}</p>}
      {evaluation.state === "failed" && (
        <p className={classes.message} data-bad>
          {evaluation.message ?? evaluation.reason}{" "}
          <Link to={`${base}/jobs/${evaluation.job}?tab=log`}>{t("evaluate.log")}</Link>
        </p>
      )}
      {evaluation.state === "succeeded" && (
        <>
          <Figures>
            {MEASURES.map((measure) => (
              <Figure key={measure} name={t(`measures.${measure}`)}>
                {score(evaluation[measure])}
              </Figure>
            ))}
            <Figure name={t("measures.samples")}>{number(evaluation.samples)}</Figure>
          </Figures>
          <div className={classes.halves}>
            {evaluation.labels && evaluation.confusion && (
              <div className={classes.section}>
                <ConfusionMatrix
                  title={<h2>{t("confusion.title")}</h2>}
                  labels={evaluation.labels}
                  confusion={evaluation.confusion}
                />
                {confused.length > 0 && (
                  <p className={classes.message}>
                    {t("confusion.most")}{" "}
                    {confused.map((one) => t("confusion.pair", { truth: one.truth, called: one.called, count: one.count })).join(t("confusion.comma"))}
                  </p>
                )}
              </div>
            )}
            <Classes evaluation={evaluation} />
          </div>
        </>
      )}
    </div>
  );
}

const VALUES = {
  label: (row: ClassMeasures) => row.label,
  precision: (row: ClassMeasures) => row.precision,
  recall: (row: ClassMeasures) => row.recall,
  f1: (row: ClassMeasures) => row.f1,
  support: (row: ClassMeasures) => row.support,
};

function Classes({ evaluation }: { evaluation: Evaluation }) {
  const { t } = useTranslation("models");
  const { rows, sort, onSort } = useSorted(perClass(evaluation), VALUES, { name: "classes" });
  const columns: Column<ClassMeasures>[] = [
    { key: "label", label: t("measures.class"), cell: (row) => row.label, sortable: true },
    { key: "precision", label: t("measures.precision"), cell: (row) => score(row.precision), numeric: true, sortable: true },
    { key: "recall", label: t("measures.recall"), cell: (row) => score(row.recall), numeric: true, sortable: true },
    { key: "f1", label: t("measures.f1"), cell: (row) => score(row.f1), numeric: true, sortable: true },
    { key: "support", label: t("measures.samples"), cell: (row) => row.support, numeric: true, sortable: true },
  ];
  if (!rows.length) return null;
  return (
    <div className={classes.section}>
      <h2 style={{ lineHeight: "30px" }}>
        {t("measures.classes")}
      </h2>
      <DataTable label={t("measures.classes")} rows={rows} columns={columns} id={(row) => row.label} sort={sort} onSort={onSort} rowHeight={29} />
    </div>
  );
}
