/** The project's datasets. */
import { Button, Group } from "@mantine/core";
import { IconUpload } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useLiveList } from "@/api/queries";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { type Column, DataTable, type Sort } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { SearchFilter } from "@/ui/Filters";
import { bytes } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { Page } from "@/ui/Page";
import { useUrlState } from "@/ui/useUrlState";
import classes from "./data.module.css";
import { type Dataset, listQuery, MOST } from "./dataset";
import { UploadBanner } from "./upload/UploadBanner";

export default function DataPage() {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const found = useQuery(listQuery(project));
  useLiveList(listQuery(project).queryKey, { topic: "data", project, limit: MOST });
  const upload = mayEdit && (
    <Button component={Link} to="new" leftSection={<IconUpload size={14} aria-hidden />}>
      {t("upload")}
    </Button>
  );
  return (
    <Page title={t("title")} actions={upload} cli={<Cli words={["nacre", "data", "ls"]} />}>
      <UploadBanner />
      {found.error && !found.data ? (
        <Failure error={found.error} retry={() => void found.refetch()} />
      ) : !found.data ? (
        <Loading />
      ) : found.data.items.length === 0 ? (
        <Empty title={t("empty.title")} action={upload} cli={["nacre", "data", "push", "./digits", "--name", "digits"]}>
          {t("empty.text")}
        </Empty>
      ) : (
        <Table datasets={found.data.items} />
      )}
    </Page>
  );
}

function Table({ datasets }: { datasets: Dataset[] }) {
  const { t, i18n } = useTranslation("data");
  const { name: project } = useProject();
  const [text, setText] = useUrlState("q");
  const [order, setOrder] = useUrlState("sort");
  const sort: Sort | null = order ? { key: order.replace(/^-/, ""), descending: order.startsWith("-") } : null;
  const wanted = text.toLowerCase();
  const rows = sorted(
    datasets.filter((one) => !wanted || `${one.name}\n${one.latest?.note ?? ""}`.toLowerCase().includes(wanted)),
    sort,
  );
  const columns: Column<Dataset>[] = [
    { key: "name", label: t("common:name"), cell: (one) => one.name, sortable: true },
    {
      key: "latest",
      label: t("latest"),
      cell: (one) => (one.latest ? `@${String(one.latest.number)}` : "–"),
      numeric: true,
      sortable: true,
    },
    { key: "versions", label: t("versions"), cell: (one) => one.versions?.length ?? 0, numeric: true, sortable: true, wide: true },
    { key: "files", label: t("common:files"), cell: (one) => count(one.latest?.files, i18n.language), numeric: true, sortable: true, wide: true },
    { key: "size", label: t("common:size"), cell: (one) => bytes(one.latest?.size), numeric: true, sortable: true },
    {
      key: "updated",
      label: t("common:updated"),
      cell: (one) => <Moment iso={one.updated_at} />,
      sortable: true,
    },
    { key: "user", label: t("common:user"), cell: (one) => one.latest?.user ?? "–", wide: true },
    { key: "note", label: t("note"), cell: (one) => <span title={one.latest?.note}>{one.latest?.note}</span>, wide: true },
  ];
  return (
    <>
      <Group gap="sm" wrap="wrap">
        <SearchFilter label={t("search")} value={text} onChange={setText} />
        <span className="n-soft">{t("count", { count: rows.length })}</span>
      </Group>
      {rows.length === 0 ? (
        <p className={classes.soft}>{t("noneFound")}</p>
      ) : (
        <DataTable
          label={t("title")}
          rows={rows}
          columns={columns}
          id={(one) => one.id}
          to={(one) => `/p/${project}/data/${one.name}`}
          sort={sort}
          onSort={({ key, descending }) => setOrder(descending ? `-${key}` : key)}
        />
      )}
    </>
  );
}

export function count(value: number | null | undefined, language: string): string {
  return value === null || value === undefined ? "–" : new Intl.NumberFormat(language).format(value);
}

const VALUES: Record<string, (one: Dataset) => string | number> = {
  name: (one) => one.name,
  latest: (one) => one.latest?.number ?? 0,
  versions: (one) => one.versions?.length ?? 0,
  files: (one) => one.latest?.files ?? 0,
  size: (one) => one.latest?.size ?? 0,
  updated: (one) => one.updated_at,
};

function sorted(datasets: Dataset[], sort: Sort | null): Dataset[] {
  const value = sort ? VALUES[sort.key] : undefined;
  if (!sort || !value) return datasets;
  const way = sort.descending ? -1 : 1;
  return [...datasets].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return way * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)));
  });
}
