/** A page of a table of data, with a way to the other pages. */
import { Button, Group } from "@mantine/core";
import { IconChevronLeft, IconChevronRight } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import { number } from "@/ui/format";
import classes from "./Preview.module.css";

interface Props {
  table: Schemas["TablePreview"];
  label: string;
  onPage?: ((offset: number) => void) | undefined;
}

const NUMBERS = /^(integer|number|u?int\d+|float\d*|double|half_?float|decimal.*)$/;
const PAGE = 100;

/** How a cell reads; numbers of text files are left as they were written. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : number(value, 7);
  if (typeof value === "string") return value;
  return JSON.stringify(value);
}

/** Where the page before this one begins. */
export function before(offset: number, page = PAGE): number {
  return Math.max(0, offset - page);
}

export function TableView({ table, label, onPage }: Props) {
  const { t } = useTranslation("preview");
  const offset = table.offset ?? 0;
  const last = offset + table.rows.length;
  const total = table.total ?? null;
  const hidden = table.columns_total - table.columns.length;
  const more = table.rows.length > 0 && (total === null ? table.rows.length >= PAGE : last < total);
  return (
    <>
      {/* A region that scrolls has to be reachable by keys. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={classes.table} role="region" aria-label={label} tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th scope="col" className={classes.index}>
                <span className="n-hidden">{t("table.row")}</span>
              </th>
              {table.columns.map((column, at) => (
                <th key={at} scope="col" data-number={NUMBERS.test(column.type) || undefined}>
                  {column.name}
                  <span className={classes.type}>{t(`types.${column.type}`, { defaultValue: column.type })}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {table.rows.map((row, index) => (
              <tr key={index}>
                <th scope="row" className={classes.index}>
                  {offset + index}
                </th>
                {table.columns.map((column, at) => (
                  <td key={at} data-number={NUMBERS.test(column.type) || undefined} title={cellText(row[at])}>
                    {row[at] === null || row[at] === undefined ? <span className={classes.null}>–</span> : cellText(row[at])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Group gap="sm" px={12} py={8} justify="space-between">
        <span className={classes.soft}>
          {table.rows.length === 0
            ? t("table.empty")
            : total === null
              ? t("table.rowsOpen", { first: offset, last: last - 1 })
              : t("table.rows", { first: offset, last: last - 1, count: total })}
          {hidden > 0 && ` · ${t("table.hidden", { count: hidden })}`}
        </span>
        {onPage && (offset > 0 || more) && (
          <Group gap={4}>
            <Button
              variant="default"
              size="compact-xs"
              disabled={offset === 0}
              onClick={() => onPage(before(offset))}
              leftSection={<IconChevronLeft size={12} aria-hidden />}
            >
              {t("table.previous")}
            </Button>
            <Button
              variant="default"
              size="compact-xs"
              disabled={!more}
              onClick={() => onPage(last)}
              rightSection={<IconChevronRight size={12} aria-hidden />}
            >
              {t("table.next")}
            </Button>
          </Group>
        )}
      </Group>
    </>
  );
}
