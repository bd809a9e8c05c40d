/** Cost by day: stacked bars in plain HTML. Arrow keys and the pointer choose the day that is read out below. */
import { type KeyboardEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { money } from "@/ui/format";
import { marks } from "./columns";
import classes from "./DayBars.module.css";
import { type Day, niceStep } from "./lines";
import { dayName } from "./words";

interface Props {
  label: string;
  days: Day[];
  /** Values of the key in the order in which they are stacked, with what they are called. */
  parts: { name: string; label: string; color: string }[];
  currency: string;
}

const LABELS = 8;

export function DayBars({ label, days, parts, currency }: Props) {
  const { t, i18n } = useTranslation("cost");
  const [chosen, setChosen] = useState<number | null>(null);
  const most = Math.max(0, ...days.map((day) => day.total));
  const step = niceStep(most);
  const top = Math.max(step, Math.ceil(most / step) * step);
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, at) => at * step);
  const say = marks(step, currency);
  const every = Math.max(1, Math.ceil(days.length / LABELS));
  const shown = chosen === null ? undefined : days[chosen];

  const move = (event: KeyboardEvent) => {
    const last = days.length - 1;
    const steps: Record<string, number> = {
      ArrowLeft: chosen === null ? last : chosen - 1,
      ArrowRight: chosen === null ? 0 : chosen + 1,
      Home: 0,
      End: last,
    };
    const to = steps[event.key];
    if (to === undefined) return;
    event.preventDefault();
    setChosen(Math.min(last, Math.max(0, to)));
  };

  return (
    <figure className={classes.figure} aria-label={label}>
      {/* It is read like a slider: the arrows move along the days, and the line below says what they cost. */}
      <div
        className={classes.plot}
        role="slider"
        tabIndex={0}
        aria-label={label}
        aria-valuemin={1}
        aria-valuemax={days.length}
        aria-valuenow={(chosen ?? days.length - 1) + 1}
        aria-valuetext={shown ? `${dayName(shown.day, i18n.language)}: ${money(shown.total, currency)}` : t("chart.choose")}
        onKeyDown={move}
        onMouseLeave={() => setChosen(null)}
        onBlur={() => setChosen(null)}
      >
        {ticks.map((tick) => (
          <div key={tick} className={classes.tick} style={{ bottom: `${(100 * tick) / top}%` }} aria-hidden>
            <span>{say(tick)}</span>
          </div>
        ))}
        <div className={classes.bars} aria-hidden>
          {days.map((day, at) => (
            <div key={day.day} className={classes.day} data-chosen={at === chosen || undefined} onMouseEnter={() => setChosen(at)}>
              {parts.map((part) => {
                const cost = day.parts.get(part.name) ?? 0;
                return cost > 0 ? (
                  <div key={part.name} className={classes.part} style={{ height: `${(100 * cost) / top}%`, background: part.color }} />
                ) : null;
              })}
            </div>
          ))}
        </div>
      </div>
      <div className={classes.names} aria-hidden>
        {days.map((day, at) => (
          <span key={day.day}>{at % every === 0 ? <span data-minor={(at / every) % 2 === 1 || undefined}>{dayName(day.day, i18n.language)}</span> : null}</span>
        ))}
      </div>
      <figcaption className={classes.legend}>
        <span className={classes.what}>{shown ? dayName(shown.day, i18n.language) : t("chart.whole")}</span>
        {parts.map((part) => {
          const cost = shown ? (shown.parts.get(part.name) ?? 0) : days.reduce((sum, day) => sum + (day.parts.get(part.name) ?? 0), 0);
          return (
            <span key={part.name} className={classes.key}>
              <span className={classes.dot} style={{ background: part.color }} aria-hidden />
              {part.label} <b>{money(cost, currency)}</b>
            </span>
          );
        })}
        {shown && parts.length > 1 && (
          <span className={classes.key}>
            {t("total")} <b>{money(shown.total, currency)}</b>
          </span>
        )}
      </figcaption>
    </figure>
  );
}
