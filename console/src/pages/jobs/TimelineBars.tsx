/**
 * The bars of a job's time. One of them is reached by Tab; arrows lead to the others, and each tells its times
 * when it is pointed at or reached.
 */
import { Button, Tooltip } from "@mantine/core";
import { type KeyboardEvent, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { duration } from "@/ui/format";
import type { Job } from "./job";
import classes from "./JobTimeline.module.css";
import { bar, PHASES, type Row, type Stretch, ticks } from "./timeline";
import { moment, stateOf, useReason } from "./words";

/** Lines that are drawn before somebody asks for all. */
const SOME = 40;

interface Props {
  job: Job;
  rows: Row[];
  range: readonly [number, number];
}

export function TimelineBars({ job, rows, range }: Props) {
  const { t } = useTranslation("jobs");
  const figure = useRef<HTMLElement>(null);
  const [reached, setReached] = useState<string | null>(null);
  const [whole, setWhole] = useState(false);
  const shown = whole ? rows : rows.slice(0, SOME);
  const drawn = shown.flatMap((row) => row.stretches.flatMap((one) => (bar(one, range) ? [keyOf(row, one)] : [])));
  const tabbed = reached !== null && drawn.includes(reached) ? reached : drawn[0];
  const total = range[1] - range[0];
  const phases = PHASES.filter((phase) => rows.some((row) => row.stretches.some((one) => one.phase === phase)));
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- arrows move among the buttons in it
    <figure className={classes.chart} aria-label={t("timeline.label")} ref={figure} onKeyDown={(event) => move(event, figure.current)}>
      {shown.map((row, index) => (
        <div key={row.key}>
          {row.rank !== null && shown[index - 1]?.attempt !== row.attempt && <Head job={job} number={row.attempt!} />}
          <Line job={job} row={row} range={range} tabbed={tabbed} reach={setReached} />
        </div>
      ))}
      {shown.length < rows.length && (
        <Button variant="default" mt={4} onClick={() => setWhole(true)}>
          {t("timeline.more", { count: rows.length - shown.length })}
        </Button>
      )}
      <div className={classes.row} aria-hidden>
        <span className={classes.label} />
        <div className={classes.axis}>
          {ticks(total / 1000).map((second) => (
            <span key={second} style={{ left: `${(100_000 * second) / total}%` }}>
              {second === 0 ? "0" : duration(second)}
            </span>
          ))}
        </div>
      </div>
      <figcaption className={classes.legend}>
        {phases.map((phase) => (
          <span key={phase}>
            <i data-phase={phase} />
            {t(`timeline.${phase}`)}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

const keyOf = (row: Row, one: Stretch) => `${row.key}/${one.phase}/${one.from}`;

/** The attempt, above the lines of its replicas. */
function Head({ job, number }: { job: Job; number: number }) {
  const { t } = useTranslation("jobs");
  const reasonOf = useReason();
  const attempt = job.attempts?.find((one) => one.number === number);
  return (
    <p className={classes.head}>
      <strong>{t("attempt", { number })}</strong>
      <span>{t("timeline.replicas", { count: attempt?.replicas?.length ?? 0 })}</span>
      {attempt?.reason && <span>{reasonOf(attempt.reason)}</span>}
    </p>
  );
}

function Line({ job, row, range, tabbed, reach }: { job: Job; row: Row; range: Props["range"]; tabbed: string | undefined; reach: (key: string) => void }) {
  const { t, i18n } = useTranslation("jobs");
  const reasonOf = useReason();
  const attempt = row.attempt === null ? undefined : job.attempts?.find((one) => one.number === row.attempt);
  const ended = row.rank === null ? attempt : attempt?.replicas?.find((one) => one.rank === row.rank);
  const label = row.attempt === null ? t("timeline.job") : row.rank === null ? t("attempt", { number: row.attempt }) : t("replica", { rank: row.rank });
  const who = row.attempt !== null && row.rank !== null ? t("timeline.who", { number: row.attempt, rank: row.rank }) : label;
  const bad = ended !== undefined && stateOf(ended) === "failed";
  return (
    <div className={classes.row} role="group" aria-label={who}>
      <span className={classes.label}>{label}</span>
      <div className={classes.track} data-line>
        {row.stretches.map((one, index) => {
          const place = bar(one, range);
          if (!place) return null;
          const last = index === row.stretches.length - 1;
          const facts = {
            phase: t(`timeline.${one.phase}`),
            from: moment(new Date(one.from).toISOString(), i18n.language),
            to: one.open ? t("timeline.now") : moment(new Date(one.to).toISOString(), i18n.language),
            time: duration((one.to - one.from) / 1000),
          };
          const said = t("timeline.bar", facts) + (last && ended?.reason ? ` ${reasonOf(ended.reason)}` : "");
          const key = keyOf(row, one);
          return (
            <Tooltip key={key} label={said} events={{ hover: true, focus: true, touch: true }} multiline maw={320} transitionProps={{ duration: 0 }}>
              <button
                type="button"
                className={classes.bar}
                data-phase={one.phase}
                data-open={one.open || undefined}
                data-bad={(last && bad) || undefined}
                style={{ left: `${place.left}%`, width: `${place.width}%` }}
                aria-label={t("timeline.barOf", { who, bar: said })}
                tabIndex={key === tabbed ? 0 : -1}
                onFocus={() => reach(key)}
              />
            </Tooltip>
          );
        })}
      </div>
    </div>
  );
}

/** Left and right to the bar before and after, up and down to the one of the next line that is nearest. */
function move(event: KeyboardEvent, figure: HTMLElement | null): void {
  const from = document.activeElement;
  if (!figure || !(from instanceof HTMLButtonElement) || !from.hasAttribute("data-phase")) return;
  const lines = [...figure.querySelectorAll("[data-line]")].map((line) => [...line.querySelectorAll<HTMLButtonElement>("[data-phase]")]).filter((line) => line.length);
  const all = lines.flat();
  const at = all.indexOf(from);
  const line = lines.findIndex((one) => one.includes(from));
  const middle = (one: HTMLElement) => one.getBoundingClientRect().left + one.getBoundingClientRect().width / 2;
  const nearest = (bars: HTMLButtonElement[] | undefined) =>
    bars && [...bars].sort((a, b) => Math.abs(middle(a) - middle(from)) - Math.abs(middle(b) - middle(from)))[0];
  const targets: Record<string, () => HTMLButtonElement | undefined> = {
    ArrowRight: () => all[at + 1],
    ArrowLeft: () => all[at - 1],
    ArrowDown: () => nearest(lines[line + 1]),
    ArrowUp: () => nearest(lines[line - 1]),
    Home: () => all[0],
    End: () => all.at(-1),
  };
  const target = targets[event.key];
  if (!target) return;
  event.preventDefault();
  target()?.focus();
}
