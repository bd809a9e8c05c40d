/** What waits, in the order of turns, and what each waits for. */
import { Anchor, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useProject } from "@/app/project";
import { api, ask } from "@/api/client";
import { ago } from "@/ui/format";
import { useNow } from "@/ui/ticking";
import { asksFor, type Job } from "./job";
import classes from "./jobs.module.css";

/** The places of jobs in the queue of all projects, by id; looked up again whenever one of them changes. */
function usePlaces(jobs: Job[]): Map<string, number> | undefined {
  const { name: project } = useProject();
  const state = jobs.map((job) => `${job.id}:${job.reason}:${job.message}`).join(" ");
  const queue = useQuery({
    queryKey: ["queue", project, state],
    queryFn: () => ask(api.GET("/api/v1/queue", {})),
    enabled: jobs.length > 0,
    placeholderData: (before) => before,
    refetchInterval: 15_000,
  });
  return queue.data && new Map(queue.data.items.flatMap((entry) => (entry.id ? [[entry.id, entry.position]] : [])));
}

export function Queue({ jobs }: { jobs: Job[] }) {
  const { t, i18n } = useTranslation("jobs");
  const now = useNow(jobs.length > 0, 10_000);
  const places = usePlaces(jobs);
  if (!jobs.length) return null;
  const place = (job: Job) => places?.get(job.id) ?? Infinity;
  const waiting = [...jobs].sort((a, b) => place(a) - place(b) || a.created_at.localeCompare(b.created_at) || a.id.localeCompare(b.id));
  const others = places && place(waiting[waiting.length - 1]!) - waiting.length;
  return (
    <section className="n-card" aria-labelledby="queue">
      <Title order={2} id="queue" className={classes.cardTitle}>
        {t("queue.title", { count: waiting.length })}
      </Title>
      <p className={classes.others}>
        {others !== undefined && Number.isFinite(others) && others > 0 && <span>{t("queue.others", { count: others })}</span>}
        <Anchor component={Link} size="sm" to="/queue">
          {t("queue.whole")}
        </Anchor>
      </p>
      <ol className={classes.queue}>
        {waiting.map((job) => (
          <li key={job.id}>
            <span className={classes.place} aria-hidden>
              {Number.isFinite(place(job)) ? place(job) : "·"}
            </span>
            <span className={classes.who}>
              <Link to={job.name}>{job.name}</Link>
              <span className="n-soft">
                {t(job.spec.spot ? "queue.asksSpot" : "queue.asks", { user: job.user, resources: asksFor(job) })}
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
