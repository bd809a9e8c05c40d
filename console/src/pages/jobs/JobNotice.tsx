/** Why it failed, what it waits for, or when it starts again; shown above everything. */
import { Alert, Group } from "@mantine/core";
import { IconAlertTriangle, IconClock } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { duration, timeWithZone } from "@/ui/format";
import type { Job } from "./job";
import classes from "./jobs.module.css";
import { Message } from "./Message";
import { useReason } from "./words";

export function JobNotice({ job, now }: { job: Job; now: number }) {
  const reasonOf = useReason();
  const reason = job.reason ? reasonOf(job.reason) : "";
  if (job.state === "failed" && (job.reason || job.message)) {
    return (
      <Alert color="red" variant="outline" icon={<IconAlertTriangle size={16} />} title={reason} role="alert">
        {job.message && <Message text={job.message} />}
      </Alert>
    );
  }
  const again = job.state === "queued" && job.retry_at && Date.parse(job.retry_at) > now ? job.retry_at : null;
  if (again) return <BackOff job={job} again={again} now={now} />;
  if ((!job.reason || job.state === "succeeded") && !job.message) return null;
  return <Line>{job.message ? <Message text={job.message} /> : reason}</Line>;
}

/** It failed, and is tried again later: when, and how the last try ended. */
function BackOff({ job, again, now }: { job: Job; again: string; now: number }) {
  const { t, i18n } = useTranslation("jobs");
  const reasonOf = useReason();
  const last = job.attempts?.at(-1);
  const clock = new Intl.DateTimeFormat(i18n.language, { timeStyle: "medium" }).format(new Date(again));
  return (
    <Line>
      <strong title={timeWithZone(again, i18n.language)}>{t("retry", { time: clock, wait: duration(Math.ceil((Date.parse(again) - now) / 1000)), number: (last?.number ?? 0) + 1 })}</strong>
      {last?.reason && <div>{t("retryAfter", { number: last.number, reason: reasonOf(last.reason) })}</div>}
      {last?.message && <Message text={last.message} soft />}
    </Line>
  );
}

function Line({ children }: { children: ReactNode }) {
  return (
    <Group gap="sm" wrap="nowrap" align="flex-start" className={classes.notice}>
      <IconClock size={16} aria-hidden />
      <div style={{ minWidth: 0, flex: 1 }}>{children}</div>
    </Group>
  );
}
