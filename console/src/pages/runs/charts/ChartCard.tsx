/** One key: its curves, zoom, and what can be done with the chart. Empty while it is far from the window. */
import { ActionIcon, Button, Menu } from "@mantine/core";
import { IconArrowsMaximize, IconChartLine, IconDots, IconEyeOff, IconPin, IconPinnedOff, IconTable, IconZoomReset } from "@tabler/icons-react";
import { memo, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { LineChart, type LineSeries } from "@/ui/charts/LineChart";
import { useNear } from "@/ui/charts/near";
import { number } from "@/ui/format";
import type { ChartFeed } from "./chartFeed";
import classes from "./Charts.module.css";
import { type Group, groupLines, runLines } from "./curves";
import { type Change, type ChartSettings, rangeOf, zoomed } from "./settings";
import { useCurves } from "./useFeed";

export interface CardProps {
  feed: ChartFeed;
  /** `key` is React's own. */
  metric: string;
  settings: ChartSettings;
  change: Change;
  /** What the curve of a run is drawn as; runs of one group share it. */
  groupOf: (run: string) => Group;
  width: number;
  height: number;
}

export const ChartCard = memo(function ChartCard(props: CardProps) {
  const box = useRef<HTMLElement>(null);
  const near = useNear(box, 60);
  return (
    <section ref={box} className={classes.card} aria-label={props.metric} style={{ minHeight: props.height + 34 }}>
      {near && <Chart {...props} />}
    </section>
  );
});

export function Chart({ feed, metric, settings, change, groupOf, width, height, filling = false }: CardProps & { filling?: boolean }) {
  const { t } = useTranslation("runs");
  const [table, setTable] = useState(false);
  const range = rangeOf(settings, metric);
  const { curves, loading, error } = useCurves(feed, metric, range);
  const lines = useMemo(
    () => (settings.group ? groupLines(curves, groupOf, settings.smooth, width) : runLines(curves, groupOf, settings.smooth)),
    [curves, groupOf, settings.group, settings.smooth, width],
  );
  const pinned = settings.pinned.includes(metric);
  // What was measured once is no curve.
  const single = !range && curves.length > 0 && curves.every((one) => one.count === 1);
  return (
    <>
      <header className={classes.head}>
        {filling ? (
          <span className={classes.name} />
        ) : (
          <h3 className={classes.name} title={metric}>
            {metric}
          </h3>
        )}
        {range && (
          <ActionIcon size="sm" onClick={() => change(zoomed(settings, metric, null))} aria-label={t("charts.resetZoomOf", { key: metric })} title={t("charts.resetZoom")}>
            <IconZoomReset size={14} />
          </ActionIcon>
        )}
        {!filling && (
          <ActionIcon size="sm" className={classes.tool} onClick={() => change({ full: metric })} aria-label={t("charts.enlargeOf", { key: metric })} title={t("charts.enlarge")}>
            <IconArrowsMaximize size={14} />
          </ActionIcon>
        )}
        <CardMenu {...{ metric, pinned, table, setTable, settings, change, filling }} />
      </header>
      {error !== null && error !== undefined && curves.length === 0 ? (
        <div className={classes.failed} role="alert">
          {error instanceof Error ? error.message : String(error)}
          <Button variant="default" size="compact-xs" onClick={() => feed.retry(metric)}>
            {t("common:tryAgain")}
          </Button>
        </div>
      ) : loading && curves.length === 0 ? (
        <div style={{ height }} aria-busy />
      ) : single && !table ? (
        <Values label={metric} lines={lines} height={height} />
      ) : (
        <LineChart
          label={metric}
          series={lines}
          height={height}
          x={settings.x}
          logX={settings.logX}
          logY={settings.logY}
          sync="runs"
          range={range}
          onZoom={(one) => change(zoomed(settings, metric, one))}
          legend={filling && lines.length <= 30}
          asTable={table}
        />
      )}
    </>
  );
}

/** A bar for each: what metrics are that were measured once, as a test's. */
function Values({ label, lines, height }: { label: string; lines: LineSeries[]; height: number }) {
  const values = lines.map((one) => one.y[0] ?? null);
  if (lines.length === 1) {
    return (
      <div className={classes.values} style={{ height }}>
        <p className={classes.figure}>{number(values[0])}</p>
        <p className={classes.valueName}>{lines[0]!.label}</p>
      </div>
    );
  }
  const most = Math.max(...values.map((value) => Math.abs(value ?? 0)));
  return (
    // A region that scrolls has to be reachable by keys.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={classes.values} style={{ height }} role="region" aria-label={label} tabIndex={0}>
      <ul>
        {lines.map((one, at) => (
          <li key={one.id}>
            <span className={classes.valueName} title={one.label}>
              {one.label}
            </span>
            <span className={classes.value}>{number(values[at])}</span>
            <span className={classes.track}>
              <span className={classes.fill} style={{ width: `${most ? (100 * Math.abs(values[at] ?? 0)) / most : 0}%`, background: one.color }} />
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

interface MenuProps {
  metric: string;
  pinned: boolean;
  table: boolean;
  setTable: (table: boolean) => void;
  settings: ChartSettings;
  change: Change;
  filling: boolean;
}

function CardMenu({ metric, pinned, table, setTable, settings, change, filling }: MenuProps) {
  const { t } = useTranslation("runs");
  const others = settings.pinned.filter((key) => key !== metric);
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon size="sm" className={classes.tool} aria-label={t("charts.more", { key: metric })}>
          <IconDots size={14} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={table ? <IconChartLine size={14} /> : <IconTable size={14} />} onClick={() => setTable(!table)}>
          {table ? t("charts.asChart") : t("charts.asTable")}
        </Menu.Item>
        <Menu.Item
          leftSection={pinned ? <IconPinnedOff size={14} /> : <IconPin size={14} />}
          onClick={() => change({ pinned: pinned ? others : [...settings.pinned, metric] })}
        >
          {pinned ? t("charts.unpin") : t("charts.pin")}
        </Menu.Item>
        {!filling && (
          <Menu.Item leftSection={<IconEyeOff size={14} />} onClick={() => change({ hidden: [...settings.hidden, metric], pinned: others })}>
            {t("charts.hide")}
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
