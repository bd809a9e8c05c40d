/** Statistics of a table's columns, each with a small histogram or its most frequent values. */
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import { number } from "@/ui/format";
import classes from "./data.module.css";
import { Part } from "./Statistics";

type Column = Schemas["ColumnSummary"];

/** With so few different values, they are shown themselves. */
const FEW = 12;

/** Whether the values themselves tell more than their distribution. */
export function isFew(column: Pick<Column, "distinct" | "histogram">): boolean {
  return !column.histogram || (column.distinct !== null && column.distinct !== undefined && column.distinct <= FEW);
}

/** A share in percent: `0`, `<0.1`, `12.5`. */
export function percent(part: number, whole: number): string {
  if (!part || !whole) return "0";
  const value = (100 * part) / whole;
  return value < 0.1 ? "<0.1" : value >= 10 ? String(Math.round(value)) : value.toFixed(1);
}

export function Columns({ table, alone }: { table: Schemas["TableSummary"]; alone: boolean }) {
  const { t, i18n } = useTranslation("data");
  const { t: types } = useTranslation("preview", { keyPrefix: "types" });
  const columns = table.columns ?? [];
  const hidden = (table.columns_total ?? 0) - columns.length;
  const rows =
    table.sampled && table.total
      ? t("stats.rowsOf", { count: table.rows, total: table.total })
      : table.sampled
        ? t("stats.rowsSample", { count: table.rows })
        : t("stats.rows", { count: table.rows });
  return (
    <Part
      title={alone ? t("stats.columns") : table.path}
      facts={[alone ? table.path : "", rows, hidden > 0 ? t("stats.hidden", { count: hidden }) : "", table.message].filter(Boolean).join(" · ")}
    >
      {columns.length > 0 && (
        // A region that scrolls has to be reachable by keys.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        <div className={classes.stat} role="region" aria-label={table.path} tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t("stats.column")}</th>
                <th scope="col">{t("common:type")}</th>
                <th scope="col">{t("stats.distribution")}</th>
                <th scope="col" data-number>
                  {t("stats.missing")}
                </th>
                <th scope="col" data-number>
                  {t("stats.distinct")}
                </th>
                <th scope="col" data-number>
                  {t("stats.min")}
                </th>
                <th scope="col" data-number>
                  {t("stats.mean")}
                </th>
                <th scope="col" data-number>
                  {t("stats.max")}
                </th>
                <th scope="col" data-number>
                  {t("stats.std")}
                </th>
              </tr>
            </thead>
            <tbody>
              {columns.map((column, at) => (
                <tr key={at}>
                  <th scope="row">{column.name}</th>
                  <td>{types(column.type, { defaultValue: column.type })}</td>
                  <td className={classes.distribution}>{isFew(column) ? <Values column={column} /> : <Bins column={column} />}</td>
                  <td data-number>{column.missing ? `${percent(column.missing, column.count)} %` : "0"}</td>
                  <td data-number>{column.distinct?.toLocaleString(i18n.language) ?? t("stats.many", { count: 1000 })}</td>
                  <td data-number>{number(column.min)}</td>
                  <td data-number>{number(column.mean)}</td>
                  <td data-number>{number(column.max)}</td>
                  <td data-number>{number(column.std)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Part>
  );
}

const WIDTH = 160;
const HEIGHT = 32;

/** A histogram as an image with words; the numbers beside it are the table. */
function Bins({ column }: { column: Column }) {
  const { t } = useTranslation("data");
  const { counts, edges } = column.histogram!;
  const most = Math.max(1, ...counts);
  const width = WIDTH / counts.length;
  const words = t("stats.histogram", { name: column.name, min: number(edges[0]), max: number(edges.at(-1)) });
  return (
    <svg width={WIDTH} height={HEIGHT} role="img" aria-label={words} className={classes.bins}>
      {counts.map((count, at) => {
        const height = count ? Math.max(1.5, (HEIGHT * count) / most) : 0;
        return (
          <rect key={at} x={at * width + 0.5} width={Math.max(1, width - 1)} y={HEIGHT - height} height={height}>
            <title>{t("stats.bin", { from: number(edges[at]), to: number(edges[at + 1]), count })}</title>
          </rect>
        );
      })}
    </svg>
  );
}

function Values({ column }: { column: Column }) {
  // Where every value is another one, the first four tell nothing.
  const top = column.distinct === column.count - (column.missing ?? 0) ? [] : (column.top ?? []);
  if (!top.length) return <span className={classes.soft}>–</span>;
  const there = column.count - (column.missing ?? 0);
  return (
    <ul className={classes.values}>
      {top.slice(0, 4).map((one) => (
        <li key={one.value} title={one.value}>
          <span>{one.value}</span>
          <span className={classes.soft}>{`${percent(one.count, there)} %`}</span>
        </li>
      ))}
    </ul>
  );
}
