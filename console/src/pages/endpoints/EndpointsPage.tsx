/** The endpoints of a project. */
import { Button } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useMay, useProject } from "@/app/project";
import { modelPath } from "@/pages/models/data";
import { Cli } from "@/ui/Cli";
import { type Column, DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { SearchFilter } from "@/ui/Filters";
import { ago, money, price } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Page } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { useSorted } from "@/ui/useSorted";
import { useUrlState } from "@/ui/useUrlState";
import { type Endpoint, endpointPath, useEndpoints } from "./data";

const VALUES = {
  name: (one: Endpoint) => one.name,
  state: (one: Endpoint) => one.state,
  model: (one: Endpoint) => `${one.model}/${one.version}`,
  requests: (one: Endpoint) => one.requests,
  p99: (one: Endpoint) => one.latency_p99_ms,
  price: (one: Endpoint) => one.price_per_hour,
  cost: (one: Endpoint) => one.cost,
  created: (one: Endpoint) => one.created_at,
};

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

export function EndpointsPage() {
  const { t, i18n } = useTranslation("endpoints");
  const project = useProject();
  const editor = useMay("editor");
  const endpoints = useEndpoints(project.name);
  const [text, setText] = useUrlState("q");
  const all = endpoints.data?.items ?? [];
  const wanted = text.trim().toLowerCase();
  const found = all.filter((one) => `${one.name} ${one.model} ${one.type}`.toLowerCase().includes(wanted));
  const { rows, sort, onSort } = useSorted(found, VALUES);
  const columns: Column<Endpoint>[] = [
    { key: "name", label: t("common:name"), cell: (one) => one.name, sortable: true },
    { key: "state", label: t("common:state"), cell: (one) => <Status state={one.state} title={one.message} />, sortable: true, width: 110 },
    {
      key: "model",
      label: t("model"),
      cell: (one) => <Link to={modelPath(project.name, one.model, { version: one.version, tab: "version" })}>{`${one.model}/${one.version}`}</Link>,
      sortable: true,
    },
    { key: "requests", label: t("requests"), cell: (one) => one.requests?.toLocaleString(i18n.language) ?? "–", numeric: true, sortable: true, width: 100 },
    { key: "p99", label: "p99", cell: (one) => milliseconds(one.latency_p99_ms), numeric: true, sortable: true, width: 96, wide: true },
    { key: "type", label: t("common:type"), cell: (one) => one.type, width: 110, wide: true },
    { key: "price", label: t("price"), cell: (one) => t("common:perHour", { price: price(one.price_per_hour, one.currency) }), numeric: true, sortable: true, width: 160, wide: true },
    { key: "cost", label: t("common:costSoFar"), cell: (one) => money(one.cost, one.currency), numeric: true, sortable: true, width: 130, wide: true },
    { key: "created", label: t("common:created"), cell: (one) => ago(one.created_at, i18n.language), sortable: true, width: 120, wide: true },
  ];
  const deploy = editor && (
    <Button component={Link} to={`/p/${project.name}/endpoints/new`} leftSection={<IconPlus size={14} />}>
      {t("deploy.new")}
    </Button>
  );
  return (
    <Page
      title={t("title")}
      facts={all.length > 0 && <span>{t("count", { count: all.length })}</span>}
      actions={all.length > 0 && deploy}
      cli={<Cli words={["nacre", "endpoint", "ls"]} />}
    >
      {endpoints.error && !endpoints.data && <Failure error={endpoints.error} retry={() => void endpoints.refetch()} />}
      {endpoints.isPending && <Loading />}
      {endpoints.data && all.length === 0 && (
        <Empty title={t("empty")} cli={["nacre", "deploy", "digits", "--name", "digits"]} action={deploy}>
          {t("emptyText")}
        </Empty>
      )}
      {all.length > 0 && (
        <>
          <SearchFilter label={t("search")} value={text} onChange={setText} maw={320} />
          {rows.length ? (
            <DataTable
              label={t("title")}
              rows={rows}
              columns={columns}
              id={(one) => one.id}
              to={(one) => endpointPath(project.name, one.name)}
              sort={sort}
              onSort={onSort}
            />
          ) : (
            <p className="n-soft">{t("nothing", { text })}</p>
          )}
        </>
      )}
    </Page>
  );
}
