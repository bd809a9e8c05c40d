/**
 * The table of runs: ten thousands of rows and hundreds of columns, of which those that are seen are drawn. Names
 * and pinned columns stay at the left. What is checked is drawn in the charts.
 */
import { useVirtualizer } from "@tanstack/react-virtual";
import { IconArrowDown, IconArrowUp } from "@tabler/icons-react";
import { memo, useEffect, useMemo, useRef } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import type { RunRecord } from "../facts";
import { Cell, Go, type Shared as Common } from "./Cell";
import { fallsFirst, type Order, type RunColumn, sortable, widthOf, writeColumn } from "./columns";
import classes from "./RunTable.module.css";
import type { Rows } from "./useRows";

const ROW = 32;
const NAME = 216;

interface Props {
  project: string;
  rows: Rows;
  columns: RunColumn[];
  /** Colours of the runs that are drawn. */
  drawn: ReadonlyMap<string, string>;
  onDraw: (id: string, draw: boolean) => void;
  order: Order | null;
  onOrder: (order: Order) => void;
  /** Somebody dragged a column to another's place. */
  onMove: (column: string, to: string) => void;
}

export function RunTable(props: Props) {
  const { project, rows, columns, drawn, onDraw, order, onOrder, onMove } = props;
  const { t, i18n } = useTranslation(["runs", "status"]);
  const navigate = useNavigate();
  const shared = useMemo<Common>(
    () => ({ project, t, language: i18n.language, go: (to) => void navigate(to) }),
    [project, t, i18n.language, navigate],
  );
  const scroller = useRef<HTMLDivElement>(null);
  const pinned = columns.filter((one) => one.pinned);
  const free = columns.filter((one) => !one.pinned);
  const left = NAME + pinned.reduce((sum, one) => sum + widthOf(one), 0);
  // eslint-disable-next-line react-hooks/incompatible-library -- the compiler leaves this component alone
  const down = useVirtualizer({
    count: rows.total,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 10,
    scrollPaddingStart: ROW,
    useFlushSync: false,
  });
  const across = useVirtualizer({
    horizontal: true,
    count: free.length,
    getScrollElement: () => scroller.current,
    estimateSize: (at) => widthOf(free[at]!),
    paddingStart: left,
    overscan: 2,
    useFlushSync: false,
  });
  const widths = free.map(widthOf).join(" ");
  useEffect(() => across.measure(), [across, widths, left]);

  const items = down.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  const { more } = rows;
  const missing = last + 60 >= rows.rows.length;
  useEffect(() => {
    if (missing) more();
  }, [missing, more, rows.rows.length]);

  const seen = across.getVirtualItems();
  const shown = seen.map((item) => ({ column: free[item.index]!, start: item.start, at: item.index })).filter((one) => one.column);
  const width = across.getTotalSize();
  const places = JSON.stringify([pinned.map(writeColumn), shown.map((one) => [one.column.id, one.start])]);
  const head = { order, onOrder, onMove };
  return (
    // A region that scrolls has to be reachable by keys.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div ref={scroller} className={classes.scroller} role="region" aria-label={t("table.label")} tabIndex={0} data-old={rows.old || undefined}>
      <div role="table" aria-label={t("table.label")} aria-rowcount={rows.total + 1} aria-colcount={columns.length + 1} style={{ width, minWidth: "100%" }}>
        <div role="rowgroup" className={classes.header}>
          <div role="row" aria-rowindex={1} className={classes.row}>
            <div className={classes.sticky}>
              <Head id="name" label={t("table.name")} width={NAME} index={1} sortableBy {...head} />
              {pinned.map((column, at) => (
                <ColumnHead key={column.id} column={column} index={at + 2} {...head} />
              ))}
            </div>
            {shown.map(({ column, start, at }) => (
              <ColumnHead key={column.id} column={column} start={start} index={pinned.length + at + 2} {...head} />
            ))}
          </div>
        </div>
        <div role="rowgroup" className={classes.body} style={{ height: down.getTotalSize() }}>
          {items.map((item) => {
            const run = rows.rows[item.index];
            return run ? (
              <Row key={run.id} run={run} index={item.index} top={item.start} shared={shared} color={drawn.get(run.id) ?? ""} onDraw={onDraw} pinned={pinned} shown={shown} places={places} />
            ) : (
              <div key={`gap${item.index}`} className={classes.row} style={{ top: item.start }} aria-hidden>
                <span className={classes.gap} />
              </div>
            );
          })}
        </div>
        {rows.total === 0 && !rows.error && <p className={classes.nothing}>{t("table.nothing")}</p>}
      </div>
    </div>
  );
}

interface RowProps {
  run: RunRecord;
  index: number;
  top: number;
  shared: Common;
  color: string;
  onDraw: (id: string, draw: boolean) => void;
  pinned: RunColumn[];
  shown: { column: RunColumn; start: number; at: number }[];
  /** Stands for `pinned` and `shown` when it is asked whether the row changed. */
  places: string;
}

const Row = memo(
  function Row({ run, index, top, shared, color, onDraw, pinned, shown }: RowProps) {
    const { t, project } = shared;
    return (
      <div role="row" aria-rowindex={index + 2} className={classes.row} style={{ top }}>
        <div className={classes.sticky}>
          <div role="cell" aria-colindex={1} className={classes.name} style={{ width: NAME }}>
            <input
              type="checkbox"
              className={classes.check}
              style={color ? { accentColor: color } : undefined}
              checked={color !== ""}
              onChange={(event) => onDraw(run.id, event.currentTarget.checked)}
              aria-label={t("table.draw", { name: run.name })}
            />
            <Go to={`/p/${project}/runs/${run.id}`} shared={shared} title={run.name}>
              {run.name}
            </Go>
            <span className={classes.dot} data-state={run.state} title={t(`status:${run.state}`)} />
          </div>
          {pinned.map((column, at) => (
            <Cell key={column.id} run={run} column={column} index={at + 2} shared={shared} />
          ))}
        </div>
        {shown.map(({ column, start, at }) => (
          <Cell key={column.id} run={run} column={column} start={start} index={pinned.length + at + 2} shared={shared} />
        ))}
      </div>
    );
  },
  (a, b) => a.run === b.run && a.top === b.top && a.index === b.index && a.color === b.color && a.places === b.places && a.onDraw === b.onDraw && a.shared === b.shared,
);

interface HeadProps {
  id: string;
  label: string;
  title?: string;
  width: number;
  index: number;
  start?: number;
  numeric?: boolean;
  sortableBy: boolean;
  order: Order | null;
  onOrder: (order: Order) => void;
  onMove: (column: string, to: string) => void;
}

type HeadShared = Pick<HeadProps, "index" | "start" | "order" | "onOrder" | "onMove">;

function ColumnHead({ column, ...rest }: { column: RunColumn } & HeadShared) {
  const { t } = useTranslation("runs");
  const label = column.kind === "attributes" ? t(`attributes.${column.key}`) : column.key;
  return <Head id={column.id} label={label} title={column.id} width={widthOf(column)} numeric={column.kind === "metrics"} sortableBy={sortable(column) !== null} {...rest} />;
}

function Head({ id, label, title, width, index, start, numeric, sortableBy, order, onOrder, onMove }: HeadProps) {
  const { t } = useTranslation();
  const mine = order?.column === id ? order : null;
  const style = start === undefined ? { width } : { width, left: start };
  const Arrow = mine?.descending ? IconArrowDown : IconArrowUp;
  return (
    // Columns move by keys in the menu of columns.
    // eslint-disable-next-line jsx-a11y/interactive-supports-focus
    <div
      role="columnheader"
      aria-colindex={index}
      aria-sort={mine ? (mine.descending ? "descending" : "ascending") : sortableBy ? "none" : undefined}
      className={start === undefined ? classes.head : `${classes.head} ${classes.placed}`}
      data-numeric={numeric || undefined}
      style={style}
      draggable={id !== "name"}
      onDragStart={(event) => event.dataTransfer.setData("text/x-nacre-column", id)}
      onDragOver={(event) => {
        if (id !== "name" && event.dataTransfer.types.includes("text/x-nacre-column")) event.preventDefault();
      }}
      onDrop={(event) => {
        const moved = event.dataTransfer.getData("text/x-nacre-column");
        if (moved && moved !== id) onMove(moved, id);
      }}
    >
      {sortableBy ? (
        <button type="button" className={classes.sort} title={title ?? t("sortBy", { column: label })} onClick={() => onOrder({ column: id, descending: mine ? !mine.descending : fallsFirst(id) })}>
          <span className={classes.text}>{label}</span>
          {mine && <Arrow size={12} aria-hidden />}
        </button>
      ) : (
        <span className={classes.text} title={title}>
          {label}
        </span>
      )}
    </div>
  );
}
