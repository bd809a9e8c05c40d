/** What waits, in the order in which it will be looked at, and what each waits for. */
import { Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { ago } from "@/ui/format";
import { useNow } from "@/ui/ticking";
import { asksFor, type Job } from "./job";
import classes from "./jobs.module.css";

export function Queue({ jobs }: { jobs: Job[] }) {
  const { t, i18n } = useTranslation("jobs");
  const now = useNow(jobs.length > 0, 10_000);
  if (!jobs.length) return null;
  // Oldest first, as the scheduler goes.
  const waiting = [...jobs].sort((a, b) => a.created_at.localeCompare(b.created_at) || a.id.localeCompare(b.id));
  return (
    <section className="n-card" aria-labelledby="queue">
      <Title order={2} id="queue" className={classes.cardTitle}>
        {t("queue.title", { count: waiting.length })}
      </Title>
      <ol className={classes.queue}>
        {waiting.map((job, index) => (
          <li key={job.id}>
            <span className={classes.place} aria-hidden>
              {index + 1}
            </span>
            <span className={classes.who}>
              <Link to={job.name}>{job.name}</Link>
              <span className="n-soft">
                {t("queue.asks", { user: job.user, resources: asksFor(job) })}
              </span>
            </span>
            <span className={classes.why}>
              {job.message ?? (job.reason ? t(`reasons.${job.reason}`, { defaultValue: job.reason }) : t("queue.soon"))}
            </span>
            <span className={classes.since}>{ago(job.created_at, i18n.language, now)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
