/* eslint-disable jsx-a11y/no-redundant-roles, jsx-a11y/no-interactive-element-to-noninteractive-role -- what CSS makes blocks of is no table any more, unless roles say so */
/** The jobs, instances and replicas of endpoints that wait, in the order of their turns: what each asks for, and what it waits for. */
import { Button, Group, Stack } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Schemas } from "@/api/client";
import { inProject } from "@/app/pages";
import { asks } from "@/pages/jobs/job";
import { Empty } from "@/ui/Empty";
import { ChoiceFilter } from "@/ui/Filters";
import { timeWithZone } from "@/ui/format";
import { Moment } from "@/ui/Moment";
import { useNow } from "@/ui/ticking";
import { useUrlState } from "@/ui/useUrlState";
import { clock } from "./clock";
import classes from "./queue.module.css";

type Entry = Schemas["QueueEntry"];

/** Lines that are drawn before somebody asks for more. */
const SOME = 100;

export function Waiting({ entries }: { entries: Entry[] }) {
  const { t } = useTranslation("queue");
  const [project, setProject] = useUrlState("project");
  const [user, setUser] = useUrlState("user");
  const [most, setMost] = useState(SOME);
  useNow(entries.length > 0, 10_000); // "4 minutes ago" goes on
  const known = (of: (one: Entry) => string | null | undefined) => [...new Set(entries.flatMap((one) => of(one) ?? []))].sort();
  const projects = known((one) => one.project);
  const users = known((one) => one.user);
  const found = entries.filter((one) => (!project || one.project === project) && (!user || one.user === user));
  const shown = found.slice(0, most);
  if (!entries.length) {
    return (
      <Empty title={t("empty.title")} cli={["nacre", "run", "train.py"]}>
        {t("empty.text")}
      </Empty>
    );
  }
  return (
    <Stack gap="md">
      <Group gap="sm">
        {projects.length > 1 && <ChoiceFilter label={t("project")} any={t("anyProject")} data={projects} value={project} onChange={setProject} />}
        {users.length > 1 && <ChoiceFilter label={t("common:user")} any={t("anyUser")} data={users} value={user} onChange={setUser} />}
        <span className="n-soft">{t("count", { count: found.length })}</span>
      </Group>
      {found.length === 0 ? (
        <p className="n-soft">{t("noMatch")}</p>
      ) : (
        // Rows become blocks on a phone; the roles tell that it is a table all the same.
        <table className={classes.waiting} aria-label={t("waiting")} role="table">
          <thead role="rowgroup">
            <tr role="row">
              <th scope="col" role="columnheader" className="n-num">
                <span className="n-hidden">{t("position")}</span>
                <span aria-hidden>#</span>
              </th>
              <th scope="col" role="columnheader">
                {t("job")}
              </th>
              <th scope="col" role="columnheader">
                {t("asksFor")}
              </th>
              <th scope="col" role="columnheader">
                {t("waitsFor")}
              </th>
              <th scope="col" role="columnheader">
                {t("start")}
              </th>
              <th scope="col" role="columnheader">
                {t("since")}
              </th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            {shown.map((one) => (
              <Line key={one.id ?? one.position} entry={one} />
            ))}
          </tbody>
        </table>
      )}
      {found.length > shown.length && (
        <Button variant="default" w="fit-content" onClick={() => setMost(most + 5 * SOME)}>
          {t("common:showMore")}
        </Button>
      )}
    </Stack>
  );
}

function Line({ entry }: { entry: Entry }) {
  const { t, i18n } = useTranslation("queue");
  const { project, job, user, message, reason, starts_by: by } = entry;
  const kind = entry.kind ?? "job";
  const most = entry.most_replicas ?? entry.replicas ?? 1;
  const replicas = most > (entry.replicas ?? 1) ? `${entry.replicas ?? 1}..${most}` : (entry.replicas ?? 1);
  const marks = [kind !== "job" && t(kind), entry.priority !== "normal" && t(`priority.${entry.priority ?? "normal"}`), entry.spot && t("spot")].filter(Boolean);
  return (
    <tr role="row">
      <td role="cell" className={`n-num ${classes.place}`}>
        {entry.position}
      </td>
      <td role="cell" className={classes.who}>
        {project && job ? (
          <>
            <Link className={classes.link} to={inProject(project, `/${kind}s/${encodeURIComponent(job)}`)}>{job}</Link>
            <span className="n-soft">{t("of", { project, user })}</span>
          </>
        ) : (
          <span className="n-soft">{t("others")}</span>
        )}
      </td>
      <td role="cell" className={classes.what}>
        {asks({ ...entry, replicas })}
        {marks.length > 0 && (
          <span className={classes.marks}>
            {marks.map((mark) => (
              <span key={mark as string}>{mark}</span>
            ))}
          </span>
        )}
      </td>
      <td role="cell" className={classes.why}>
        {message ?? (reason ? t(`reasons.${reason}`, { defaultValue: reason }) : project ? t("soon") : "–")}
      </td>
      <td role="cell" className={classes.start}>
        {by ? (
          <time dateTime={by} title={timeWithZone(by, i18n.language)}>
            {t("latest", { time: clock(by, i18n.language) })}
          </time>
        ) : (
          <span className={classes.unknown}>{t("unknown")}</span>
        )}
      </td>
      <td role="cell" className={classes.since}>
        <Moment iso={entry.queued_at} />
      </td>
    </tr>
  );
}
