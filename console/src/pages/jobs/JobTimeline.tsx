/** When it waited, when it ran: bars over time, and the same as a table. */
import { Stack, Table, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { bytes, duration, time } from "@/ui/format";
import { Status } from "@/ui/Status";
import type { Job } from "./job";
import classes from "./JobTimeline.module.css";
import { type Stretch, stretches, ticks } from "./timeline";

const PHASES = ["queued", "preparing", "running"] as const;

export function JobTimeline({ job, now }: { job: Job; now: number }) {
  const { t } = useTranslation("jobs");
  const all = stretches(job, now);
  return (
    <Stack gap="lg">
      <Bars all={all} />
      <Phases all={all} />
      <Title order={2} size="h3">{t("timeline.attempts")}</Title>
      <Attempts job={job} now={now} />
    </Stack>
  );
}

function Bars({ all }: { all: Stretch[] }) {
  const { t } = useTranslation("jobs");
  const start = all[0]?.from ?? 0;
  const total = Math.max(1, (all.at(-1)?.to ?? 0) - start);
  const percent = (ms: number) => `${(100 * ms) / total}%`;
  const rows = [null, ...new Set(all.flatMap((one) => one.attempt ?? []))];
  return (
    <figure className={classes.chart} aria-label={t("timeline.label")}>
      {rows.map((row) => (
        <div key={row ?? "job"} className={classes.row}>
          <span className={classes.label}>{row === null ? t("timeline.job") : t("attempt", { number: row })}</span>
          <div className={classes.track}>
            {all
              .filter((one) => one.attempt === row)
              .map((one) => (
                <span
                  key={`${one.phase}${one.from}`}
                  className={classes.bar}
                  data-phase={one.phase}
                  data-open={one.open || undefined}
                  style={{ left: percent(one.from - start), width: percent(one.to - one.from) }}
                  title={t("timeline.bar", { phase: t(`timeline.${one.phase}`), time: duration((one.to - one.from) / 1000) })}
                />
              ))}
          </div>
        </div>
      ))}
      <div className={classes.row} aria-hidden>
        <span className={classes.label} />
        <div className={classes.axis}>
          {ticks(total / 1000).map((second) => (
            <span key={second} style={{ left: percent(1000 * second) }}>
              {second === 0 ? "0" : duration(second)}
            </span>
          ))}
        </div>
      </div>
      <figcaption className={classes.legend}>
        {PHASES.map((phase) => (
          <span key={phase}>
            <i data-phase={phase} />
            {t(`timeline.${phase}`)}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

function Phases({ all }: { all: Stretch[] }) {
  const { t, i18n } = useTranslation("jobs");
  return (
    // A region that scrolls has to be reachable by keys.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={classes.scroller} tabIndex={0} role="region" aria-label={t("timeline.table")}>
      <Table aria-label={t("timeline.table")}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("timeline.phase")}</Table.Th>
            <Table.Th>{t("timeline.from")}</Table.Th>
            <Table.Th className="n-num">{t("common:duration")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {all.map((one) => (
            <Table.Tr key={`${one.phase}${one.from}`}>
              <Table.Td>
                {one.attempt === null ? t(`timeline.${one.phase}`) : t("timeline.of", { phase: t(`timeline.${one.phase}`), number: one.attempt })}
              </Table.Td>
              <Table.Td>{time(new Date(one.from).toISOString(), i18n.language)}</Table.Td>
              <Table.Td className="n-num">{duration((one.to - one.from) / 1000)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

function Attempts({ job, now }: { job: Job; now: number }) {
  const { t, i18n } = useTranslation("jobs");
  const attempts = job.attempts ?? [];
  if (!attempts.length) return <p className="n-soft">{t("timeline.noAttempt")}</p>;
  return (
    // A region that scrolls has to be reachable by keys.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={classes.scroller} tabIndex={0} role="region" aria-label={t("timeline.attempts")}>
      <Table aria-label={t("timeline.attempts")}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("timeline.number")}</Table.Th>
            <Table.Th>{t("common:state")}</Table.Th>
            <Table.Th>{t("timeline.why")}</Table.Th>
            <Table.Th>{t("timeline.placed")}</Table.Th>
            <Table.Th className="n-num">{t("common:duration")}</Table.Th>
            <Table.Th className="n-num">{t("timeline.exit")}</Table.Th>
            <Table.Th className="n-num">{t("timeline.memory")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {attempts.map((one) => {
            const end = one.ended_at ? new Date(one.ended_at).getTime() : now;
            return (
              <Table.Tr key={one.id}>
                <Table.Td>{one.number}</Table.Td>
                <Table.Td>
                  <Status state={one.state} />
                </Table.Td>
                <Table.Td className={classes.why}>
                  {one.reason ? t(`reasons.${one.reason}`, { defaultValue: one.reason }) : "–"}
                  {one.message && <div className="n-soft">{one.message}</div>}
                </Table.Td>
                <Table.Td>{time(one.created_at, i18n.language)}</Table.Td>
                <Table.Td className="n-num">{one.started_at ? duration((end - new Date(one.started_at).getTime()) / 1000) : "–"}</Table.Td>
                <Table.Td className="n-num">{one.exit_code ?? "–"}</Table.Td>
                <Table.Td className="n-num">{bytes(one.peak_memory)}</Table.Td>
              </Table.Tr>
            );
          })}
        </Table.Tbody>
      </Table>
    </div>
  );
}
