/** The sums by kind, project or person. */
import { useTranslation } from "react-i18next";
import { DataTable } from "@/ui/DataTable";
import { duration } from "@/ui/format";
import { useUrlState } from "@/ui/useUrlState";
import { column } from "./columns";
import { type Group, groups, type Key, type Line } from "./lines";
import { Share } from "./Share";

const ORDERS: Record<string, (a: Group, b: Group) => number> = {
  name: (a, b) => a.name.localeCompare(b.name),
  time: (a, b) => a.seconds - b.seconds,
  cost: (a, b) => a.cost - b.cost,
};

export function Groups({ lines, currency, by, total }: { lines: Line[]; currency: string; by: Key; total: number }) {
  const { t } = useTranslation("cost");
  const [sort, setSort] = useUrlState("sort", "-cost");
  const descending = sort.startsWith("-");
  const key = sort.replace("-", "");
  const order = ORDERS[key] ?? ORDERS.cost!;
  const rows = groups(lines, by).sort((a, b) => (descending ? -order(a, b) : order(a, b)));
  const say = column(rows.map((group) => group.cost), currency);
  const word = (group: Group) => (by === "kind" ? t(`kind.${group.name}`, { defaultValue: group.name }) : group.name);
  return (
    <DataTable
      label={t("groups.label", { key: t(`by.${by}`) })}
      rows={rows}
      id={(group) => group.name}
      sort={{ key, descending }}
      onSort={(next) => setSort(`${next.descending ? "-" : ""}${next.key}`)}
      columns={[
        { key: "name", label: t(`by.${by}`), sortable: true, cell: word },
        { key: "time", label: t("time"), sortable: true, numeric: true, cell: (group) => duration(group.seconds) },
        { key: "share", label: t("share"), wide: true, width: 220, cell: (group) => <Share part={group.cost} whole={total} /> },
        { key: "cost", label: t("cost"), sortable: true, numeric: true, cell: (group) => say(group.cost) },
      ]}
    />
  );
}
