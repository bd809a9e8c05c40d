/** The charts of some runs: a card per metric, in sections, each with a line per run or group. */
import { Button, Modal } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Empty } from "@/ui/Empty";
import { colorsOf } from "@/ui/charts/colors";
import { Chart, ChartCard } from "./ChartCard";
import type { ChartFeed, FeedSpec } from "./chartFeed";
import classes from "./Charts.module.css";
import type { Group } from "./curves";
import { labelsOf, type RunRecord } from "../facts";
import { PINNED, sections, type Section } from "./sections";
import type { Change, ChartSettings } from "./settings";
import { useFeed } from "./useFeed";

interface Props {
  project: string;
  runs: RunRecord[];
  /** Of each run. */
  colors: ReadonlyMap<string, string>;
  settings: ChartSettings;
  change: Change;
  /** Keys that are shown elsewhere. */
  without?: (key: string) => boolean;
}

const HEIGHT = 196;
const GAP = 12;
const LEAST = 268;

export function ChartGrid({ project, runs, colors, settings, change, without }: Props) {
  const { t } = useTranslation("runs");
  const box = useRef<HTMLDivElement>(null);
  const width = useCardWidth(box);
  const starts = runs.map((run) => `${run.id}:${Date.parse(run.started_at)}`).join(" ");
  const spec = useMemo<FeedSpec>(() => {
    const found = starts.split(" ").filter(Boolean).map((one) => one.split(":"));
    const all = found.map(([id, startMs]) => ({ id: id!, startMs: Number(startMs) }));
    // Nothing is asked for before it is known how wide it will be.
    return { runs: width === null ? [] : all, axis: settings.x, width: width ?? 0 };
  }, [starts, settings.x, width]);
  const feed = useFeed(project, spec);
  const { groupOf, groups } = useGroups(runs, colors, settings.group);
  const keys = new Set(runs.flatMap((run) => Object.keys(run.metrics ?? {})));
  const known = [...keys].filter((key) => !without?.(key)).sort().join("\n");
  const found = useMemo(
    () => sections(known.split("\n").filter(Boolean), { find: settings.find, pinned: settings.pinned, hidden: settings.hidden }),
    [known, settings.find, settings.pinned, settings.hidden],
  );
  const shared = { feed, settings, change, groupOf, width: width ?? 0 };
  return (
    <div ref={box} className={classes.sections}>
      {settings.group && (
        <ul className={classes.legend} aria-label={t("charts.groups")}>
          {groups.map((group) => (
            <li key={group.id}>
              <span className={classes.swatch} style={{ background: group.color }} aria-hidden />
              {group.label}
            </li>
          ))}
        </ul>
      )}
      {known === "" ? (
        <Empty title={t("charts.noneTitle")} cli={["nacre", "run", "train.py"]}>
          {t("charts.noneText")}
        </Empty>
      ) : (
        found.length === 0 && (
          <Empty title={t("charts.notFound")} action={<Button variant="default" onClick={() => change({ find: "", hidden: [] })}>{t("charts.showAll")}</Button>} />
        )
      )}
      {(width === null ? [] : found).map((one) => (
        <SectionOf key={one.name} section={one} shared={shared} />
      ))}
      <Modal
        opened={settings.full !== ""}
        onClose={() => change({ full: "" })}
        size="min(1200px, 94vw)"
        title={settings.full}
        closeButtonProps={{ "aria-label": t("common:close") }}
      >
        {settings.full !== "" && width !== null && <Enlarged project={project} spec={spec} {...shared} />}
      </Modal>
    </div>
  );
}

/** A chart as wide as the window has a feed of its own, of as many points as it has pixels. */
function Enlarged({ project, spec, ...shared }: Shared & { project: string; spec: FeedSpec }) {
  const width = Math.ceil(Math.min(1200, 0.94 * window.innerWidth) / 80) * 80;
  const feed = useFeed(project, useMemo(() => ({ ...spec, width }), [spec, width]));
  const height = Math.max(280, Math.min(560, window.innerHeight - 260));
  return <Chart {...shared} feed={feed} width={width} metric={shared.settings.full} height={height} filling />;
}

interface Shared {
  feed: ChartFeed;
  settings: ChartSettings;
  change: Change;
  groupOf: (run: string) => Group;
  width: number;
}

function SectionOf({ section, shared }: { section: Section; shared: Shared }) {
  const { t } = useTranslation("runs");
  const { settings, change } = shared;
  const closed = settings.closed.includes(section.name);
  const title = section.name === PINNED ? t("charts.pinned") : section.name || t("charts.metrics");
  const Arrow = closed ? IconChevronRight : IconChevronDown;
  const others = settings.closed.filter((name) => name !== section.name);
  return (
    <section className={classes.section} aria-label={title}>
      <h2 className={classes.heading}>
        <button type="button" className={classes.fold} aria-expanded={!closed} onClick={() => change({ closed: closed ? others : [...others, section.name] })}>
          <Arrow size={14} aria-hidden />
          {title}
          <span className={classes.count}>{section.keys.length}</span>
        </button>
      </h2>
      {!closed && (
        <div className={classes.grid}>
          {section.keys.map((key) => (
            <ChartCard key={key} metric={key} height={HEIGHT} {...shared} />
          ))}
        </div>
      )}
    </section>
  );
}

/** The width of a card's plot, in steps, so that a small change of the window asks for nothing. */
function useCardWidth(box: React.RefObject<HTMLElement | null>): number | null {
  const [width, setWidth] = useState<number | null>(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measured = new ResizeObserver(() => {
      const whole = element.clientWidth;
      if (whole === 0) return;
      const columns = Math.max(1, Math.floor((whole + GAP) / (LEAST + GAP)));
      setWidth(Math.ceil(((whole - GAP * (columns - 1)) / columns - 60) / 40) * 40);
    });
    measured.observe(element);
    return () => measured.disconnect();
  }, [box]);
  return width;
}

/** What each run is drawn as: itself, or the group of its value of a param. */
function useGroups(runs: RunRecord[], colors: ReadonlyMap<string, string>, param: string) {
  const labels = labelsOf(runs);
  // Rows come anew with every live update; the cards draw again only where a label, colour or group changed.
  const key = JSON.stringify(runs.map((run) => [run.id, labels.get(run.id), colors.get(run.id), param ? (run.params?.[param] ?? null) : null]));
  return useMemo(() => {
    const rows = JSON.parse(key) as [string, string, string | null, string | null][];
    const of = new Map<string, Group>();
    const groups = new Map<string, Group>();
    const valueColors = colorsOf([...new Set(rows.map((row) => `${param}=${row[3] ?? ""}`))]);
    for (const [id, label, color, value] of rows) {
      const name = `${param}=${value ?? ""}`;
      const group = param
        ? { id: name, label: `${param} = ${value ?? "–"}`, color: valueColors.get(name)! }
        : { id, label, color: color ?? "#1f7fd4" };
      of.set(id, group);
      groups.set(group.id, group);
    }
    const unknown: Group = { id: "", label: "", color: "#1f7fd4" };
    return { groupOf: (run: string) => of.get(run) ?? unknown, groups: [...groups.values()] };
  }, [key, param]);
}
