/** What was spent this month, day by day, and what it comes to if things go on. */
import { Anchor, Skeleton } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Schemas } from "@/api/client";
import { Failure } from "@/ui/Failure";
import { money } from "@/ui/format";
import classes from "./Home.module.css";
import { Section } from "./Section";
import { useSpending } from "./useOverview";

export function Spending({ project }: { project: string | null }) {
  const { t } = useTranslation("home");
  const { forecast, days } = useSpending(project);
  const found = forecast.data;
  return (
    <Section
      title={t("spend.title")}
      more={
        <Anchor size="sm" component={Link} to={project === null ? "/cost" : `/cost?project=${encodeURIComponent(project)}`}>
          {t("spend.all")}
        </Anchor>
      }
    >
      {forecast.error ? (
        <Failure error={forecast.error} retry={() => void forecast.refetch()} />
      ) : !found ? (
        <Skeleton height={96} />
      ) : (
        <div className={classes.card}>
          <div className={classes.big}>{money(found.spent, found.currency)}</div>
          <Days forecast={found} lines={days.data?.lines ?? []} />
          <dl className={classes.facts}>
            <div>
              <dt>{t("spend.now")}</dt>
              <dd>{t("common:perHour", { price: money(found.running_per_hour, found.currency) })}</dd>
            </div>
            <div>
              <dt>{t("spend.byRunning")}</dt>
              <dd>{money(found.by_running.total, found.currency)}</dd>
            </div>
            <div>
              <dt>{t("spend.byRecent")}</dt>
              <dd>{money(found.by_recent.total, found.currency)}</dd>
            </div>
          </dl>
        </div>
      )}
    </Section>
  );
}

function Days({ forecast, lines }: { forecast: Schemas["Forecast"]; lines: Schemas["CostLine"][] }) {
  const { t, i18n } = useTranslation("home");
  const spent = new Map(lines.map((line) => [line.day, line.cost]));
  const [since, until] = [Date.parse(forecast.since), Date.parse(forecast.until)];
  const count = Math.round((until - since) / 86_400_000);
  const days = Array.from({ length: count }, (_, at) => new Date(since + at * 86_400_000).toISOString().slice(0, 10));
  const most = Math.max(1, ...days.map((day) => spent.get(day) ?? 0));
  const today = forecast.now.slice(0, 10);
  const dearest = days.reduce((best, day) => ((spent.get(day) ?? 0) > (spent.get(best) ?? 0) ? day : best), days[0]!);
  const dateOf = (day: string) => new Intl.DateTimeFormat(i18n.language, { month: "short", day: "numeric", timeZone: "UTC" }).format(new Date(day));
  return (
    <div
      className={classes.days}
      role="img"
      aria-label={t("spend.days", { day: dateOf(dearest), cost: money(spent.get(dearest) ?? 0, forecast.currency) })}
    >
      {days.map((day) => (
        <span key={day} data-today={day === today || undefined} data-later={day > today || undefined} title={`${dateOf(day)}: ${money(spent.get(day) ?? 0, forecast.currency)}`}>
          <i style={{ height: `${(100 * (spent.get(day) ?? 0)) / most}%` }} />
        </span>
      ))}
    </div>
  );
}
