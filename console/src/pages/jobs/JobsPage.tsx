/** The project's jobs: what waits and why, and all of them. */
import { Button, Group } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { api, ask } from "@/api/client";
import { useLiveList } from "@/api/queries";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { type Column, DataTable, type Sort } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { ChoiceFilter, SearchFilter } from "@/ui/Filters";
import { duration, money } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { tellError } from "@/ui/notify";
import { Page } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { useNow } from "@/ui/ticking";
import { useUrlState } from "@/ui/useUrlState";
import { type Job, costNow, hasEnded, isAllocated, JOB_STATES, ranFor } from "./job";
import classes from "./jobs.module.css";
import { Queue } from "./Queue";

const LIMIT = 200;

function list(project: string, cursor?: string) {
  const query = cursor ? { limit: LIMIT, cursor } : { limit: LIMIT };
  return ask(api.GET("/api/v1/projects/{project}/jobs", { params: { path: { project }, query } }));
}

export default function JobsPage() {
  const { t } = useTranslation("jobs");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const key = ["jobs", project, "list"];
  const jobs = useQuery({ queryKey: key, queryFn: () => list(project) });
  useLiveList(key, { topic: "jobs", project, limit: LIMIT });
  const [older, setOlder] = useState<Job[]>([]);
  const [end, setEnd] = useState(false);
  const newest = useMemo(() => jobs.data?.items ?? [], [jobs.data]);
  const all = useMemo(() => {
    const known = new Set(newest.map((job) => job.id));
    return [...newest, ...older.filter((job) => !known.has(job.id))];
  }, [newest, older]);
  const create = mayEdit && (
    <Button component={Link} to="new" leftSection={<IconPlus size={14} />}>
      {t("new")}
    </Button>
  );
  const showOlder = async () => {
    try {
      const page = await list(project, all.at(-1)?.id);
      setOlder([...older, ...page.items]);
      setEnd(!page.next);
    } catch (error) {
      tellError(error);
    }
  };
  return (
    <Page title={t("title")} actions={create} cli={<Cli words={["nacre", "ps", "-a"]} />}>
      {jobs.error && !jobs.data ? (
        <Failure error={jobs.error} retry={() => void jobs.refetch()} />
      ) : !jobs.data ? (
        <Loading />
      ) : all.length === 0 ? (
        <Empty title={t("empty.title")} action={create} cli={["nacre", "run", "train.py"]}>
          {t("empty.text")}
        </Empty>
      ) : (
        <>
          <Queue jobs={all.filter((job) => job.state === "queued")} />
          <Table jobs={all} asOf={jobs.dataUpdatedAt} />
          {newest.length >= LIMIT && !end && (
            <Button variant="default" onClick={() => void showOlder()} style={{ alignSelf: "start" }}>
              {t("older")}
            </Button>
          )}
        </>
      )}
    </Page>
  );
}

function Table({ jobs, asOf }: { jobs: Job[]; asOf: number }) {
  const { t } = useTranslation("jobs");
  const { t: words } = useTranslation("status");
  const [state, setState] = useUrlState("state");
  const [user, setUser] = useUrlState("user");
  const [text, setText] = useUrlState("q");
  const [order, setOrder] = useUrlState("sort");
  const now = useNow(jobs.some((job) => !hasEnded(job)));
  const sort: Sort | null = order ? { key: order.replace(/^-/, ""), descending: order.startsWith("-") } : null;
  const users = [...new Set(jobs.map((job) => job.user))].sort();
  const shown = sorted(
    jobs.filter((job) => {
      if (state && (state === "active" ? hasEnded(job) : job.state !== state)) return false;
      if (user && job.user !== user) return false;
      if (!text) return true;
      const place = [job.name, job.description, job.spec.environment, ...job.spec.commands, ...Object.entries(job.spec.tags ?? {}).flat()];
      return place.join("\n").toLowerCase().includes(text.toLowerCase());
    }),
    sort,
    asOf,
    now,
  );
  const columns: Column<Job>[] = [
    { key: "name", label: t("common:name"), cell: (job) => job.name, sortable: true },
    { key: "state", label: t("common:state"), cell: (job) => <JobState job={job} />, sortable: true },
    { key: "user", label: t("common:user"), cell: (job) => job.user, sortable: true, wide: true },
    { key: "kind", label: t("kind"), cell: (job) => t(`kinds.${job.kind ?? "task"}`), wide: true },
    {
      key: "created",
      label: t("submitted"),
      cell: (job) => <Moment iso={job.created_at} />,
      sortable: true,
      wide: true,
    },
    { key: "duration", label: t("common:duration"), cell: (job) => duration(ranFor(job, now)), numeric: true, sortable: true },
    { key: "cost", label: t("common:cost"), cell: (job) => money(costNow(job, asOf, now), job.currency), numeric: true, sortable: true },
  ];
  return (
    <>
      <Group gap="sm" wrap="wrap">
        <SearchFilter label={t("search")} value={text} onChange={setText} />
        <ChoiceFilter
          label={t("common:state")}
          any={t("anyState")}
          data={[{ value: "active", label: t("activeOnly") }, ...JOB_STATES.map((value) => ({ value, label: words(value) }))]}
          value={state}
          onChange={setState}
          w={160}
        />
        {users.length > 1 && (
          <ChoiceFilter label={t("common:user")} any={t("anyUser")} data={users} value={user} onChange={setUser} />
        )}
        <span className="n-soft">{t("count", { count: shown.length })}</span>
      </Group>
      {shown.length ? (
        <DataTable
          label={t("title")}
          rows={shown}
          columns={columns}
          id={(job) => job.id}
          to={(job) => job.name}
          sort={sort}
          onSort={(next) => setOrder((next.descending ? "-" : "") + next.key)}
        />
      ) : (
        <p className="n-soft">{t("noMatch")}</p>
      )}
    </>
  );
}

function sorted(jobs: Job[], sort: Sort | null, asOf: number, now: number): Job[] {
  if (!sort) return jobs;
  const of: Record<string, (job: Job) => string | number> = {
    name: (job) => job.name,
    state: (job) => (JOB_STATES as readonly string[]).indexOf(job.state),
    user: (job) => job.user,
    created: (job) => job.created_at,
    duration: (job) => ranFor(job, now) ?? -1,
    cost: (job) => costNow(job, asOf, now),
  };
  const value = of[sort.key];
  if (!value) return jobs;
  const sign = sort.descending ? -1 : 1;
  return [...jobs].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return sign * (typeof x === "string" ? x.localeCompare(String(y), undefined, { numeric: true }) : x - Number(y));
  });
}

/** The state, and beside it why: the reason's words where there are some. */
export function JobState({ job }: { job: Job }) {
  const { t } = useTranslation("jobs");
  const why = job.reason && !(job.state === "cancelled" && job.reason === "cancelled_by_user") ? t(`reasons.${job.reason}`, { defaultValue: job.reason }) : null;
  return (
    <span className={classes.state}>
      <Status state={job.state} title={job.message} />
      {why && <span className="n-soft">{why}</span>}
      {isAllocated(job) && (job.attempts?.length ?? 0) > 1 && <span className="n-soft">{t("attemptShort", { number: job.attempts!.length })}</span>}
    </span>
  );
}
