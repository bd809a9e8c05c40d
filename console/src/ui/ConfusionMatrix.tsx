/**
 * A confusion matrix as an HTML table: rows are the truth, columns what the model called it.
 *
 * Right calls are shaded in the accent, wrong ones in red, each by its share of the row. Pointer or arrow keys
 * choose a cell, whose sentence stands below.
 */
import { Group, SegmentedControl } from "@mantine/core";
import { type KeyboardEvent, type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import classes from "./ConfusionMatrix.module.css";

interface Props {
  labels: string[];
  /** `confusion[i][j]`: samples of class `labels[i]` that were called `labels[j]`. */
  confusion: number[][];
  /** What the table is, for screen readers. */
  label?: string;
  /** Stands at the left of the switch between counts and shares. */
  title?: ReactNode;
}

type Cell = [row: number, column: number];

/** With more classes the cells are squares without figures. */
const FIGURES_UP_TO = 30;
const DEEPEST_PERCENT = 45;

/** Each row's cells as shares of the row; a class without samples is all zeros. */
export function shares(confusion: number[][]): number[][] {
  return confusion.map((row) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    return row.map((count) => (total ? count / total : 0));
  });
}

/** Where an arrow key leads, within a square of `size`; null for other keys. */
export function moved([row, column]: Cell, key: string, size: number): Cell | null {
  const steps: Record<string, Cell> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const step = steps[key];
  if (!step) return null;
  const within = (at: number) => Math.min(Math.max(at, 0), size - 1);
  return [within(row + step[0]), within(column + step[1])];
}

/** A share as `97.3` or `100`; what is there is never `0`. */
export function percent(share: number): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1";
  return value === 100 || value === 0 || value >= 99.95 ? String(Math.round(value)) : value.toFixed(1);
}

export function ConfusionMatrix({ labels, confusion, label, title }: Props) {
  const { t } = useTranslation("models");
  const [unit, setUnit] = useState<"counts" | "percent">("counts");
  const [chosen, setChosen] = useState<Cell | null>(null);
  const share = shares(confusion);
  const figures = labels.length <= FIGURES_UP_TO;
  const onKeyDown = (event: KeyboardEvent) => {
    const next = moved(chosen ?? [0, 0], event.key, labels.length);
    if (!next) return;
    event.preventDefault();
    setChosen(chosen ? next : [0, 0]);
  };
  const sentence = (row: number, column: number) =>
    t("confusion.cell", {
      count: confusion[row]?.[column] ?? 0,
      truth: labels[row],
      called: labels[column],
      share: percent(share[row]?.[column] ?? 0),
    });
  return (
    <div>
      <Group justify="space-between" gap="sm" mb={8}>
        {title ?? <span />}
        <SegmentedControl
          value={unit}
          onChange={(value) => setUnit(value as typeof unit)}
          data={[
            { value: "counts", label: t("confusion.counts") },
            { value: "percent", label: t("confusion.percent") },
          ]}
          aria-label={t("confusion.unit")}
        />
      </Group>
      {/* A region that scrolls, and in which the arrow keys choose a cell. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <div
        className={classes.scroller}
        role="region"
        aria-label={label ?? t("confusion.title")}
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        onKeyDown={onKeyDown}
        onBlur={() => setChosen(null)}
        onMouseLeave={() => setChosen(null)}
      >
        <table className={classes.table} data-figures={figures || undefined}>
          <thead>
            <tr>
              <td className={classes.corner} />
              <th scope="colgroup" colSpan={labels.length} className={classes.axis}>
                {t("confusion.called")}
              </th>
            </tr>
            <tr>
              <th scope="col" className={classes.axis}>
                {t("confusion.truth")}
              </th>
              {labels.map((name, column) => (
                <th key={column} scope="col" className={classes.head} data-on={chosen?.[1] === column || undefined} title={name}>
                  <span className={name.length > 4 ? classes.tall : undefined}>{name}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {labels.map((name, row) => (
              <tr key={row}>
                <th scope="row" className={classes.side} data-on={chosen?.[0] === row || undefined} title={name}>
                  {name}
                </th>
                {labels.map((_, column) => {
                  const count = confusion[row]?.[column] ?? 0;
                  const part = share[row]?.[column] ?? 0;
                  return (
                    <td
                      key={column}
                      className={classes.cell}
                      style={count ? { background: shade(part, row === column) } : undefined}
                      data-on={(chosen?.[0] === row && chosen[1] === column) || undefined}
                      data-none={count ? undefined : true}
                      onMouseEnter={() => setChosen([row, column])}
                      title={sentence(row, column)}
                    >
                      {figures ? (unit === "counts" ? count : percent(part)) : <span className="n-hidden">{count}</span>}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className={classes.said} aria-live="polite">
        {chosen ? sentence(...chosen) : t("confusion.help")}
      </p>
    </div>
  );
}

function shade(part: number, right: boolean): string {
  const depth = (6 + (DEEPEST_PERCENT - 6) * Math.sqrt(part)).toFixed(1);
  return `color-mix(in srgb, var(${right ? "--n-accent" : "--n-bad"}) ${depth}%, var(--n-bg))`;
}
