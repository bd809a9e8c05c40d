/** The total of the period, and what the month will have cost, each with what it assumes. */
import { Skeleton } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import { duration, money } from "@/ui/format";
import classes from "./Tiles.module.css";
import { fullDay, monthName } from "./words";

export function Tile({ label, value, children }: { label: string; value: ReactNode; children?: ReactNode }) {
  return (
    <section className={classes.tile} aria-label={label}>
      <h2 className={classes.label}>{label}</h2>
      <p className={classes.value}>{value}</p>
      {children && <p className={classes.more}>{children}</p>}
    </section>
  );
}

interface Props {
  cost: Schemas["Cost"] | undefined;
  period: string;
  forecast: Schemas["Forecast"] | undefined;
}

export function Tiles({ cost, period, forecast }: Props) {
  const { t, i18n } = useTranslation("cost");
  const seconds = cost?.lines.reduce((sum, line) => sum + line.seconds, 0);
  const waiting = <Skeleton height={24} width={96} />;
  return (
    <div className={classes.tiles}>
      <Tile label={period} value={cost ? money(cost.total, cost.currency) : waiting}>
        {cost && Boolean(seconds) && t("tiles.time", { time: duration(seconds) })}
      </Tile>
      <Tile
        label={forecast ? t("tiles.byRunning", { month: monthName(forecast.month, i18n.language) }) : t("tiles.forecast")}
        value={forecast ? money(forecast.by_running.total, forecast.currency) : waiting}
      >
        {forecast && <ByRunning forecast={forecast} />}
      </Tile>
      <Tile
        label={forecast ? t("tiles.byRecent", { month: monthName(forecast.month, i18n.language) }) : t("tiles.forecast")}
        value={forecast ? money(forecast.by_recent.total, forecast.currency) : waiting}
      >
        {forecast && <ByRecent forecast={forecast} />}
      </Tile>
    </div>
  );
}

function ByRunning({ forecast }: { forecast: Schemas["Forecast"] }) {
  const { t, i18n } = useTranslation("cost");
  const { running, currency } = forecast;
  if (!running) return t("assume.nothing", { spent: money(forecast.spent, currency) });
  return t("assume.running", {
    count: running,
    price: money(forecast.running_per_hour, currency),
    spent: money(forecast.spent, currency),
    last: lastDay(forecast.until, i18n.language),
  });
}

function ByRecent({ forecast }: { forecast: Schemas["Forecast"] }) {
  const { t, i18n } = useTranslation("cost");
  const days = (Date.parse(forecast.now) - Date.parse(forecast.recent_since)) / 86_400_000;
  return t("assume.recent", {
    count: Math.round(days),
    recent: money(forecast.recent, forecast.currency),
    spent: money(forecast.spent, forecast.currency),
    last: lastDay(forecast.until, i18n.language),
  });
}

/** The day before the instant at which the month is over. */
function lastDay(until: string, language: string): string {
  return fullDay(new Date(Date.parse(until) - 1).toISOString().slice(0, 10), language);
}
