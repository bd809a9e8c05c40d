/** The numbers of a chart as a table. */
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { DataTable } from "../DataTable";
import { number } from "../format";
import { type LineSeries, union } from "./align";
import { place, type XKind } from "./axes";

interface Row {
  x: number;
  values: (number | null)[];
}

export function ChartTable({ label, series, x, range, height }: {
  label: string;
  series: LineSeries[];
  x: XKind;
  range: [number, number] | null;
  height: number;
}) {
  const { t, i18n } = useTranslation("charts");
  const rows = useMemo<Row[]>(() => {
    const places = union(series.map((one) => one.x)).filter((at) => !range || (at >= range[0] && at <= range[1]));
    const known = series.map((one) => new Map(one.x.map((at, index) => [at, one.y[index] ?? null])));
    return places.map((at) => ({ x: at, values: known.map((one) => one.get(at) ?? null) }));
  }, [series, range]);
  const columns = [
    { key: "x", label: t(`axis.${x}`), cell: (row: Row) => place(x, i18n.language, row.x), numeric: true },
    ...series.map((one, at) => ({
      key: one.id,
      label: one.label,
      cell: (row: Row) => number(row.values[at]),
      numeric: true,
    })),
  ];
  return (
    <div style={{ height, overflow: "auto" }}>
      <DataTable label={label} rows={rows} columns={columns} id={(row) => String(row.x)} height={height - 2} />
    </div>
  );
}
