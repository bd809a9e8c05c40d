/**
 * A table of things: sorted by the headers, thousands of rows drawn as far as they are seen, keyboard reachable.
 *
 * Sorting is the caller's: `sort` and `onSort` (kept in the URL), so that a server can do it. The first cell links
 * to `to(row)`; a click anywhere else in the row, but on what is itself clicked, opens the same.
 */
import { useVirtualizer } from "@tanstack/react-virtual";
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import { type MouseEvent, type ReactNode, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router";
import classes from "./DataTable.module.css";

export interface Column<Row> {
  key: string;
  label: string;
  cell: (row: Row) => ReactNode;
  /** Numbers are aligned to the right. */
  numeric?: boolean;
  sortable?: boolean;
  /** Width in px; columns without one share the rest. */
  width?: number;
  /** Left out below 600 px. */
  wide?: boolean;
  /** What one does with the row: it stays at the right edge where the table scrolls. */
  actions?: boolean;
}

export interface Sort {
  key: string;
  descending: boolean;
}

interface Props<Row> {
  /** What the table is, for screen readers. */
  label: string;
  rows: Row[];
  columns: Column<Row>[];
  id: (row: Row) => string;
  /** Where the first cell links to, and a click on the row leads. */
  to?: (row: Row) => string;
  sort?: Sort | null;
  onSort?: (sort: Sort) => void;
  /** The height in px from which on the table scrolls by itself; without it, it is as long as its rows. */
  height?: number;
  rowHeight?: number;
}

const VIRTUAL_FROM = 100;

export function DataTable<Row>(props: Props<Row>) {
  const { rows, columns, height = 640, rowHeight = 36 } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const navigate = useNavigate();
  const open = (event: MouseEvent, row: Row) => {
    if (!props.to || !isPlain(event)) return;
    void navigate(props.to(row));
  };
  const virtual = rows.length > VIRTUAL_FROM;
  // eslint-disable-next-line react-hooks/incompatible-library -- the compiler leaves this component alone
  const virtualizer = useVirtualizer({
    count: virtual ? rows.length : 0,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 12,
  });
  const items = virtualizer.getVirtualItems();
  const before = virtual ? (items[0]?.start ?? 0) : 0;
  const after = virtual ? virtualizer.getTotalSize() - (items.at(-1)?.end ?? 0) : 0;
  const shown = virtual ? items.map((item) => [item.index, rows[item.index]!] as const) : rows.map((row, i) => [i, row] as const);
  return (
    // A region that scrolls has to be reachable by keys.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div ref={scroller} className={classes.scroller} style={virtual ? { height } : undefined} tabIndex={0} role="region" aria-label={props.label}>
      <table className={classes.table} aria-label={props.label} aria-rowcount={rows.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column) => (
              <Header key={column.key} column={column} {...props} />
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <tr aria-hidden style={{ height: before }} />}
          {shown.map(([index, row]) => (
            // By keys, the link in the first cell does the same.
            <tr key={props.id(row)} aria-rowindex={index + 2} style={{ height: rowHeight }} data-opens={props.to ? true : undefined} onClick={(event) => open(event, row)}>
              {columns.map((column, position) => (
                <td key={column.key} className={cellClass(column)}>
                  {position === 0 && props.to ? (
                    <Link className={classes.link} to={props.to(row)}>
                      {column.cell(row)}
                    </Link>
                  ) : (
                    column.cell(row)
                  )}
                </td>
              ))}
            </tr>
          ))}
          {after > 0 && <tr aria-hidden style={{ height: after }} />}
        </tbody>
      </table>
    </div>
  );
}

/** Whether a click means the row: not what is itself clicked, not the end of marking text, not "in a new tab". */
function isPlain(event: MouseEvent): boolean {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return false;
  const target = event.target as Element;
  // What a menu or a dialog of the row says comes here too, though it is elsewhere on the page.
  if (!event.currentTarget.contains(target) || target.closest("a, button, input, select, textarea, label, [role=button]")) return false;
  return window.getSelection()?.isCollapsed !== false;
}

function cellClass<Row>(column: Column<Row>): string {
  return [column.numeric && "n-num", column.wide && classes.wide, column.actions && classes.actions].filter(Boolean).join(" ");
}

function Header<Row>({ column, sort, onSort }: { column: Column<Row> } & Props<Row>) {
  const { t } = useTranslation();
  const mine = sort?.key === column.key ? sort : null;
  const order = mine ? (mine.descending ? "descending" : "ascending") : "none";
  const style = column.width === undefined ? undefined : { width: column.width };
  if (!column.sortable || !onSort) {
    return (
      <th scope="col" className={cellClass(column)} style={style}>
        {column.label}
      </th>
    );
  }
  return (
    <th scope="col" className={cellClass(column)} style={style} aria-sort={order}>
      <button
        type="button"
        className={classes.sort}
        onClick={() => onSort({ key: column.key, descending: mine ? !mine.descending : false })}
        title={t("sortBy", { column: column.label })}
      >
        {column.label}
        {mine && (mine.descending ? <IconArrowDown size={12} aria-hidden /> : <IconArrowUp size={12} aria-hidden />)}
      </button>
    </th>
  );
}
