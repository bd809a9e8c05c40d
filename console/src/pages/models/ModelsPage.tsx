/** The models of a project. */
import { Button, Group } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { type Column, DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { SearchFilter } from "@/ui/Filters";
import { ago } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Page } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { useSorted } from "@/ui/useSorted";
import { useUrlState } from "@/ui/useUrlState";
import { type Model, modelPath, useModels } from "./data";
import { score } from "./measures";
import classes from "./models.module.css";

const VALUES = {
  name: (model: Model) => model.name,
  versions: (model: Model) => model.versions?.length ?? 0,
  framework: (model: Model) => model.latest?.framework,
  best: (model: Model) => model.best?.accuracy,
  updated: (model: Model) => model.updated_at ?? model.created_at,
};

export function ModelsPage() {
  const { t, i18n } = useTranslation("models");
  const project = useProject();
  const models = useModels(project.name);
  const [text, setText] = useUrlState("q");
  const all = models.data?.items ?? [];
  const wanted = text.trim().toLowerCase();
  const found = all.filter((model) =>
    [model.name, model.description ?? "", ...Object.keys(model.aliases ?? {})].some((word) => word.toLowerCase().includes(wanted)),
  );
  const { rows, sort, onSort } = useSorted(found, VALUES);
  const columns: Column<Model>[] = [
    { key: "name", label: t("common:name"), cell: (model) => model.name, sortable: true },
    {
      key: "latest",
      label: t("list.latest"),
      cell: (model) =>
        model.latest ? (
          <Group gap={12} wrap="nowrap">
            <span>{model.latest.number}</span>
            <Status state={model.latest.conversion} title={model.latest.message} />
          </Group>
        ) : (
          <span className="n-soft">{t("list.noVersion")}</span>
        ),
      width: 150,
    },
    { key: "versions", label: t("list.versions"), cell: (model) => model.versions?.length ?? 0, numeric: true, sortable: true, width: 96, wide: true },
    { key: "aliases", label: t("aliases.title"), cell: (model) => <Aliases model={model} />, wide: true },
    { key: "framework", label: t("framework"), cell: (model) => model.latest?.framework ?? "–", sortable: true, width: 110, wide: true },
    { key: "best", label: t("list.best"), cell: (model) => <Best model={model} />, sortable: true },
    {
      key: "updated",
      label: t("common:updated"),
      cell: (model) => ago(model.updated_at ?? model.created_at, i18n.language),
      sortable: true,
      width: 130,
      wide: true,
    },
  ];
  return (
    <Page
      title={t("list.title")}
      cli={<Cli words={["nacre", "model", "ls"]} />}
      facts={all.length > 0 && <span>{t("list.count", { count: all.length })}</span>}
    >
      {models.error && !models.data && <Failure error={models.error} retry={() => void models.refetch()} />}
      {models.isPending && <Loading />}
      {models.data && all.length === 0 && (
        <Empty
          title={t("list.empty")}
          cli={["nacre", "model", "register", "RUN:model.pt", "--name", "digits"]}
          action={
            <Button component={Link} to={`/p/${project.name}/runs`}>
              {t("list.toRuns")}
            </Button>
          }
        >
          {t("list.emptyText")}
        </Empty>
      )}
      {all.length > 0 && (
        <>
          <SearchFilter label={t("list.search")} value={text} onChange={setText} maw={320} />
          {rows.length ? (
            <DataTable
              label={t("list.title")}
              rows={rows}
              columns={columns}
              id={(model) => model.id}
              to={(model) => modelPath(project.name, model.name)}
              sort={sort}
              onSort={onSort}
            />
          ) : (
            <p className="n-soft">{t("list.nothing", { text })}</p>
          )}
        </>
      )}
    </Page>
  );
}

function Aliases({ model }: { model: Model }) {
  const aliases = Object.entries(model.aliases ?? {});
  if (!aliases.length) return <span className="n-soft">–</span>;
  return (
    <span className={classes.pills}>
      {aliases.map(([alias, number]) => (
        <span key={alias} className={classes.pill}>
          @{alias} <span className="n-soft">{number}</span>
        </span>
      ))}
    </span>
  );
}

function Best({ model }: { model: Model }) {
  const { t } = useTranslation("models");
  if (!model.best) return <span className="n-soft">{t("list.notEvaluated")}</span>;
  return (
    <span title={t("list.bestOf", { version: model.best.version, data: model.best.data })}>
      {score(model.best.accuracy)} <span className="n-soft">{model.best.data}</span>
    </span>
  );
}
