/** The lock: packages with exact versions, searchable; the text itself to copy or take along. */
import { Button, CopyButton, Group, SegmentedControl } from "@mantine/core";
import { IconCheck, IconCopy, IconDownload } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { CodeEditor } from "@/ui/CodeEditor";
import { type Column, DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { SearchFilter } from "@/ui/Filters";
import { useSorted } from "@/ui/useSorted";
import { useUrlState } from "@/ui/useUrlState";
import type { Environment } from "./environment";
import classes from "./environments.module.css";
import { matching, type Package, packagesOf } from "./lock";

export function LockTab({ environment }: { environment: Environment }) {
  const { t } = useTranslation("environments");
  const [view, setView] = useUrlState("view", "packages");
  const { lock } = environment;
  if (!lock) {
    return (
      <Empty title={t("lock.none")} cli={["nacre", "env", "build", environment.name]}>
        {t("lock.noneText")}
      </Empty>
    );
  }
  return (
    <div className={classes.lock}>
      <Group gap="sm" wrap="wrap">
        <SegmentedControl
          aria-label={t("lock.view")}
          value={view}
          onChange={setView}
          data={[
            { value: "packages", label: t("lock.packages") },
            { value: "text", label: t("lock.text") },
          ]}
        />
        <CopyButton value={lock}>
          {({ copied, copy }) => (
            <Button variant="default" leftSection={copied ? <IconCheck size={14} /> : <IconCopy size={14} />} onClick={copy}>
              {copied ? t("common:copied") : t("lock.copy")}
            </Button>
          )}
        </CopyButton>
        <Button
          component="a"
          variant="default"
          leftSection={<IconDownload size={14} />}
          href={`data:text/plain;charset=utf-8,${encodeURIComponent(lock)}`}
          download={`${environment.name}.lock.txt`}
        >
          {t("common:download")}
        </Button>
      </Group>
      {view === "text" ? (
        <CodeEditor bare label={t("lock.label", { name: environment.name })} value={lock} readOnly />
      ) : (
        <Packages packages={packagesOf(lock, environment.requirements)} />
      )}
      <p className="n-soft">{t("lock.note")}</p>
    </div>
  );
}

const VALUES = {
  name: (one: Package) => one.name,
  version: (one: Package) => one.version,
  asked: (one: Package) => (one.asked ? 0 : 1),
};

function Packages({ packages }: { packages: Package[] }) {
  const { t } = useTranslation("environments");
  const [text, setText] = useUrlState("q");
  const { rows, sort, onSort } = useSorted(matching(packages, text), VALUES);
  const columns: Column<Package>[] = [
    { key: "name", label: t("lock.package"), sortable: true, cell: (one) => <span className="n-mono">{one.name}</span> },
    { key: "version", label: t("common:version"), sortable: true, cell: (one) => <span className="n-mono">{one.version}</span> },
    { key: "asked", label: t("lock.why"), sortable: true, cell: (one) => (one.asked ? t("lock.asked") : <span className="n-soft">{t("lock.along")}</span>) },
  ];
  if (packages.some((one) => one.marker)) {
    columns.push({ key: "marker", label: t("lock.where"), wide: true, cell: (one) => <span className="n-mono">{one.marker || "–"}</span> });
  }
  return (
    <>
      <Group gap="sm">
        <SearchFilter label={t("lock.search")} value={text} onChange={setText} />
        <span className="n-soft">{t("lock.count", { count: rows.length })}</span>
      </Group>
      {rows.length ? (
        <DataTable label={t("lock.packages")} rows={rows} columns={columns} id={(one) => `${one.name} ${one.version} ${one.marker}`} sort={sort} onSort={onSort} rowHeight={30} />
      ) : (
        <p className="n-soft">{t("lock.noMatch")}</p>
      )}
    </>
  );
}
