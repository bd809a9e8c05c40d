/** Every version: what it is, whether it is converted, and what it measured on one dataset. */
import { Group, Select } from "@mantine/core";
import { IconStarFilled } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useProject } from "@/app/project";
import { type Column, DataTable } from "@/ui/DataTable";
import { ago, bytes } from "@/ui/format";
import { Status } from "@/ui/Status";
import { useSorted } from "@/ui/useSorted";
import { useUrlState } from "@/ui/useUrlState";
import { type Model, modelPath, type Version } from "./data";
import { best, dataOf, MEASURES, measured, score } from "./measures";
import classes from "./models.module.css";
import { VersionAliases } from "./VersionAliases";

export function VersionsTab({ model, versions, described }: { model: Model; versions: Version[]; described: ReactNode }) {
  const { t, i18n } = useTranslation("models");
  const project = useProject();
  const choices = dataOf(versions);
  const [asked, setData] = useUrlState("data", choices[0] ?? "");
  const data = choices.includes(asked) ? asked : (choices[0] ?? "");
  const staged = versions.some((version) => version.stage !== "None");
  const values = {
    number: (version: Version) => version.number,
    framework: (version: Version) => version.framework,
    size: (version: Version) => version.size,
    created: (version: Version) => version.created_at,
    ...Object.fromEntries(MEASURES.map((measure) => [measure, (version: Version) => measured(version, data)?.[measure]])),
  };
  const { rows, sort, onSort } = useSorted(versions, values);
  const columns: Column<Version>[] = [
    { key: "number", label: t("common:version"), cell: (version) => version.number, sortable: true, width: 84 },
    { key: "aliases", label: t("aliases.title"), cell: (version) => <VersionAliases version={version} /> },
    { key: "conversion", label: t("conversion.title"), cell: (version) => <Status state={version.conversion} title={version.message} />, width: 120 },
  ];
  if (data) {
    for (const measure of MEASURES) {
      const top = best(versions, data, measure);
      columns.push({
        key: measure,
        label: t(`measures.${measure}`),
        cell: (version) => <Score value={measured(version, data)?.[measure]} top={top} />,
        numeric: true,
        sortable: true,
        width: 100,
      });
    }
  }
  columns.push(
    { key: "framework", label: t("framework"), cell: (version) => version.framework, sortable: true, width: 104, wide: true },
    { key: "size", label: t("common:size"), cell: (version) => bytes(version.size), numeric: true, sortable: true, width: 96, wide: true },
  );
  if (staged) columns.push({ key: "stage", label: t("stage.title"), cell: (version) => t(stageKey(version.stage)), width: 110, wide: true });
  columns.push({
    key: "created",
    label: t("common:created"),
    cell: (version) => ago(version.created_at, i18n.language),
    sortable: true,
    width: 130,
    wide: true,
  });
  return (
    <div className={classes.stack} style={{ gap: 12 }}>
      {described}
      {choices.length > 0 && (
        <Group gap="md" align="flex-end">
          <Select
            label={t("measures.on")}
            data={choices}
            value={data}
            onChange={(value) => value && setData(value)}
            allowDeselect={false}
            maw={280}
          />
          <p className={classes.message}>{t("measures.macro")}</p>
        </Group>
      )}
      <DataTable
        label={t("tabs.versions")}
        rows={rows}
        columns={columns}
        id={(version) => version.id}
        to={(version) => modelPath(project.name, model.name, { version: version.number, tab: "version" })}
        sort={sort}
        onSort={onSort}
      />
      {(model.versions?.length ?? 0) > versions.length && (
        <p className={classes.message}>{t("list.newest", { count: versions.length, all: model.versions?.length ?? 0 })}</p>
      )}
    </div>
  );
}

export function Score({ value, top }: { value: number | null | undefined; top: number | null }) {
  const { t } = useTranslation("models");
  if (value === null || value === undefined) return <span className="n-soft">–</span>;
  if (value !== top) return <>{score(value)}</>;
  return (
    <span className={classes.best} title={t("measures.best")}>
      <IconStarFilled size={10} aria-label={t("measures.best")} /> {score(value)}
    </span>
  );
}

const KNOWN_STAGES = ["None", "Staging", "Production", "Archived"] as const;

export function stageKey(stage: string | undefined): `stage.${(typeof KNOWN_STAGES)[number]}` {
  return `stage.${KNOWN_STAGES.find((one) => one === stage) ?? "None"}`;
}
