/** The attempts of a job and their replicas: where, when, how they ended and why. */
import { Table } from "@mantine/core";
import { Fragment } from "react";
import { useTranslation } from "react-i18next";
import { bytes, duration, timeWithZone } from "@/ui/format";
import { Status } from "@/ui/Status";
import type { Job } from "./job";
import classes from "./JobTimeline.module.css";
import { Message } from "./Message";
import { type Attempt, isGang, type Replica, waits } from "./timeline";
import { devices, moment, stateOf, useReason } from "./words";

export function AttemptTable({ job, now }: { job: Job; now: number }) {
  const { t } = useTranslation("jobs");
  const attempts = job.attempts ?? [];
  const waited = waits(job);
  const its = attempts.flatMap((one) => one.replicas ?? []);
  // What none of them has is no column.
  const has = { gpus: its.some((one) => Object.keys(one.gpus ?? {}).length > 0), ready: its.some((one) => one.ready_at) };
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
            <Table.Th>{t("timeline.machine")}</Table.Th>
            {has.gpus && <Table.Th>{t("timeline.gpus")}</Table.Th>}
            <Table.Th className="n-num">{t("timeline.waited")}</Table.Th>
            <Table.Th>{t("timeline.placed")}</Table.Th>
            {has.ready && <Table.Th>{t("timeline.ready")}</Table.Th>}
            <Table.Th>{t("timeline.began")}</Table.Th>
            <Table.Th className="n-num">{t("common:duration")}</Table.Th>
            <Table.Th className="n-num">{t("timeline.exit")}</Table.Th>
            <Table.Th className="n-num">{t("timeline.memory")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {attempts.map((one) => (
            <Fragment key={one.id}>
              <Line one={one} name={t("attempt", { number: one.number })} placed={one.created_at} waited={waited.get(one.number)} now={now} has={has} single={isGang(one) ? null : (one.replicas?.[0] ?? null)} />
              {isGang(one) &&
                one.replicas?.map((its) => <Line key={its.rank} one={its} name={t("replica", { rank: its.rank })} over={one.ended_at ?? null} said={one.message} now={now} has={has} single={its} nested />)}
            </Fragment>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

interface LineProps {
  one: Attempt | Replica;
  name: string;
  /** What is of one replica only; null: of a gang's attempt. */
  single: Replica | null;
  now: number;
  /** Columns that are not always there. */
  has: { gpus: boolean; ready: boolean };
  placed?: string;
  waited?: number | undefined;
  over?: string | null;
  /** What is said of its attempt already. */
  said?: string | null | undefined;
  nested?: boolean;
}

function Line({ one, name, single, now, has, placed, waited, over = null, said, nested = false }: LineProps) {
  const { i18n } = useTranslation("jobs");
  const reasonOf = useReason();
  const ended = one.ended_at ?? over;
  const end = ended ? new Date(ended).getTime() : now;
  const clock = (iso: string | null | undefined) => (iso ? <time dateTime={iso} title={timeWithZone(iso, i18n.language)}>{moment(iso, i18n.language)}</time> : "–");
  return (
    <Table.Tr data-nested={nested || undefined}>
      <Table.Th scope="row">{name}</Table.Th>
      <Table.Td>
        <Status state={stateOf(one)} />
      </Table.Td>
      <Table.Td className={classes.why}>
        {one.reason ? reasonOf(one.reason) : "–"}
        {one.message && one.reason !== "succeeded" && !said?.includes(one.message) && <Message text={one.message} soft />}
      </Table.Td>
      <Table.Td>{single?.node ?? "–"}</Table.Td>
      {has.gpus && <Table.Td>{devices(single?.gpus)}</Table.Td>}
      <Table.Td className="n-num">{waited === undefined ? "" : duration(waited)}</Table.Td>
      <Table.Td>{placed ? clock(placed) : ""}</Table.Td>
      {has.ready && <Table.Td>{clock(single?.ready_at)}</Table.Td>}
      <Table.Td>{clock(one.started_at)}</Table.Td>
      <Table.Td className="n-num">{one.started_at ? duration(Math.max(0, end - new Date(one.started_at).getTime()) / 1000) : "–"}</Table.Td>
      <Table.Td className="n-num">{one.exit_code ?? "–"}</Table.Td>
      <Table.Td className="n-num">{bytes(one.peak_memory)}</Table.Td>
    </Table.Tr>
  );
}
