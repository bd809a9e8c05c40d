/** The catalogue's environments and the project's own: what is in them, and whether they are built. */
import { Button, Group, SegmentedControl } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useLiveList } from "@/api/queries";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { type Column, DataTable } from "@/ui/DataTable";
import { Failure } from "@/ui/Failure";
import { ChoiceFilter, SearchFilter } from "@/ui/Filters";
import { bytes, duration } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { Page } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { Tagged } from "@/ui/Tagged";
import { useSorted } from "@/ui/useSorted";
import { useUrlState } from "@/ui/useUrlState";
import { type Environment, ENVIRONMENT_STATES, LIMIT, listEnvironments, listKey } from "./environment";
import classes from "./environments.module.css";

export default function EnvironmentsPage() {
  const { t } = useTranslation("environments");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const key = listKey(project);
  const found = useQuery({ queryKey: key, queryFn: () => listEnvironments(project) });
  useLiveList(key, { topic: "environments", project, limit: LIMIT });
  const create = mayEdit && (
    <Button component={Link} to="new" leftSection={<IconPlus size={14} />}>
      {t("new")}
    </Button>
  );
  return (
    <Page title={t("title")} actions={create} cli={<Cli words={["nacre", "env", "ls"]} />}>
      {found.error && !found.data ? (
        <Failure error={found.error} retry={() => void found.refetch()} />
      ) : found.data ? (
        <Table environments={found.data.items} />
      ) : (
        <Loading />
      )}
    </Page>
  );
}

/** What it is, in a line. */
export function whatOf(one: Environment): string {
  return one.description || (one.requirements ?? []).join(", ");
}

const VALUES = {
  name: (one: Environment) => one.name,
  state: (one: Environment) => ENVIRONMENT_STATES.indexOf(one.state),
  python: (one: Environment) => one.python ?? null,
  size: (one: Environment) => one.size ?? null,
  built: (one: Environment) => one.build_seconds ?? null,
  created: (one: Environment) => one.created_at,
};

function Table({ environments }: { environments: Environment[] }) {
  const { t } = useTranslation("environments");
  const { t: words } = useTranslation("status");
  const { name: project } = useProject();
  const [text, setText] = useUrlState("q");
  const [state, setState] = useUrlState("state");
  const [whose, setWhose] = useUrlState("whose", "all");
  const matches = environments.filter((one) => {
    if (state && one.state !== state) return false;
    if (whose !== "all" && Boolean(one.catalogue) !== (whose === "catalogue")) return false;
    return !text || [one.name, one.description, ...(one.requirements ?? [])].join("\n").toLowerCase().includes(text.toLowerCase());
  });
  // One's own first, as the server lists them; the catalogue in its order.
  const { rows, sort, onSort } = useSorted([...matches.filter((one) => !one.catalogue), ...matches.filter((one) => one.catalogue)], VALUES);
  const columns: Column<Environment>[] = [
    {
      key: "name",
      label: t("common:name"),
      sortable: true,
      cell: (one) => <Tagged tag={one.catalogue && t("catalogue")}>{one.name}</Tagged>,
    },
    { key: "state", label: t("common:state"), sortable: true, cell: (one) => <Status state={one.state} title={one.message} word={one.state === "pending" ? t("notBuilt") : undefined} /> },
    { key: "what", label: t("what"), cell: (one) => <span title={(one.requirements ?? []).join("\n")}>{whatOf(one)}</span> },
    { key: "python", label: "Python", sortable: true, wide: true, cell: (one) => one.python ?? "–" },
    { key: "size", label: t("common:size"), sortable: true, numeric: true, wide: true, cell: (one) => bytes(one.size) },
    { key: "built", label: t("buildTime"), sortable: true, numeric: true, wide: true, cell: (one) => duration(one.build_seconds) },
    {
      key: "created",
      label: t("common:created"),
      sortable: true,
      wide: true,
      cell: (one) => <Moment iso={one.created_at} />,
    },
  ];
  const own = environments.some((one) => !one.catalogue);
  return (
    <>
      <Group gap="sm" wrap="wrap">
        <SearchFilter label={t("search")} value={text} onChange={setText} />
        <SegmentedControl
          aria-label={t("whose")}
          value={whose}
          onChange={setWhose}
          data={[
            { value: "all", label: t("all") },
            { value: "catalogue", label: t("theCatalogue") },
            { value: "own", label: t("own") },
          ]}
        />
        <ChoiceFilter
          label={t("common:state")}
          any={t("anyState")}
          data={ENVIRONMENT_STATES.map((value) => ({ value, label: value === "pending" ? t("notBuilt") : words(value) }))}
          value={state}
          onChange={setState}
        />
        <span className="n-soft">{t("count", { count: rows.length })}</span>
      </Group>
      {rows.length ? (
        <DataTable
          label={t("title")}
          rows={rows}
          columns={columns}
          id={(one) => one.id}
          to={(one) => `/p/${project}/environments/${encodeURIComponent(one.name)}`}
          sort={sort}
          onSort={onSort}
        />
      ) : (
        <p className="n-soft">{whose === "own" && !own ? t("noOwn") : t("noMatch")}</p>
      )}
      {!own && whose !== "own" && (
        <p className={classes.teach}>
          {t("teach")} <Cli words={["nacre", "env", "create", "mine", "-r", "requirements.txt"]} />
        </p>
      )}
    </>
  );
}
