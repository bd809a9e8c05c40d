/** What each project has of the machines: its share now and of late, and what it holds of its quota. */
import { ActionIcon, Stack } from "@mantine/core";
import { IconAdjustments } from "@tabler/icons-react";
import { type CSSProperties, useState } from "react";
import { useTranslation } from "react-i18next";
import { useUser } from "@/app/session";
import { type Column, DataTable } from "@/ui/DataTable";
import { bytes } from "@/ui/format";
import { amount } from "@/pages/jobs/words";
import { QuotaDialog } from "./QuotaDialog";
import classes from "./queue.module.css";
import { type Meter, meter, type Share, shareBar, type Totals } from "./shares";

const percent = (part: number) => `${Math.round(100 * part)} %`;

export function Shares({ shares, all }: { shares: Share[]; all: Totals | null }) {
  const { t } = useTranslation("queue");
  const admin = useUser().admin ?? false;
  const [editing, setEditing] = useState<Share | null>(null);
  // GPUs are a column where there are any: of the machines, or of a quota.
  const gpus = (all?.gpu ?? 0) > 0 || shares.some((one) => one.gpu > 0 || one.quota?.gpu != null);
  const name = (one: Share) => one.project ?? t("otherProjects");
  const limit = (held: string, quota: string | null) => (quota === null ? held : t("held", { held, quota }));
  const columns: Column<Share>[] = [
    { key: "project", label: t("project"), cell: name },
    { key: "now", label: t("now"), numeric: true, cell: (one) => percent(one.share) },
    { key: "recent", label: t("recent"), numeric: true, cell: (one) => percent(one.recent_share) },
    { key: "weight", label: t("weight"), numeric: true, wide: true, cell: (one) => (one.project ? amount(one.weight ?? 1) : "–") },
    { key: "cpu", label: t("cpu"), numeric: true, cell: (one) => limit(amount(one.cpu), one.quota?.cpu == null ? null : amount(one.quota.cpu)) },
    { key: "memory", label: t("memory"), numeric: true, cell: (one) => limit(bytes(one.memory), one.quota?.memory == null ? null : bytes(one.quota.memory)) },
    { key: "gpu", label: t("gpu"), numeric: true, cell: (one) => limit(amount(one.gpu), one.quota?.gpu == null ? null : amount(one.quota.gpu)) },
    { key: "running", label: t("running"), numeric: true, cell: (one) => limit(String(one.running), one.quota?.running_jobs == null ? null : String(one.quota.running_jobs)) },
    { key: "waits", label: t("waits"), numeric: true, cell: (one) => one.waiting },
    { key: "priority", label: t("highest"), wide: true, cell: (one) => (one.project ? t(`priority.${one.quota?.priority ?? "normal"}`) : "–") },
    ...(admin
      ? [
          {
            key: "actions",
            label: t("common:actions"),
            actions: true,
            width: 72,
            cell: (one: Share) =>
              one.project && (
                <ActionIcon aria-label={t("setOf", { project: one.project })} onClick={() => setEditing(one)}>
                  <IconAdjustments size={16} />
                </ActionIcon>
              ),
          },
        ]
      : []),
  ];
  return (
    <Stack gap="lg">
      <figure className={classes.chart} aria-label={t("chart")}>
        <ul className={classes.bars}>
          {shares.map((one) => (
            <Bars key={one.project ?? ""} one={one} name={name(one)} all={all} gpus={gpus} />
          ))}
        </ul>
        <figcaption className={classes.legend}>
          <span>
            <i className={classes.nowMark} aria-hidden /> {t("legend.now")}
          </span>
          <span>
            <i className={classes.recentMark} aria-hidden /> {t("legend.recent")}
          </span>
          <span>
            <i className={classes.quotaMark} aria-hidden /> {t("legend.quota")}
          </span>
        </figcaption>
      </figure>
      <DataTable label={t("shares")} rows={shares} columns={columns} id={(one) => one.project ?? ""} />
      <p className={classes.note}>{t("note")}</p>
      <QuotaDialog project={editing?.project ?? null} quota={editing?.quota ?? null} close={() => setEditing(null)} />
    </Stack>
  );
}

function Bars({ one, name, all, gpus }: { one: Share; name: string; all: Totals | null; gpus: boolean }) {
  const { t } = useTranslation("queue");
  const { now, recent } = shareBar(one);
  const words = t("shareWords", { now: percent(one.share), recent: percent(one.recent_share) });
  const of = (is: Meter, show: (value: number) => string, key: "ofAll" | "ofQuota" = "ofAll") =>
    is.most === null ? show(is.held) : t(key, { held: show(is.held), most: show(is.most) });
  const kinds = [
    { key: "cpu", label: t("cpu"), is: meter(one.cpu, one.quota?.cpu, all?.cpu ?? null), show: amount },
    { key: "memory", label: t("memory"), is: meter(one.memory, one.quota?.memory, all?.memory ?? null), show: bytes },
    { key: "gpu", label: t("gpu"), is: meter(one.gpu, one.quota?.gpu, all?.gpu ?? null), show: amount },
  ].filter(({ key }) => key !== "gpu" || gpus);
  return (
    <li className={classes.project} style={{ "--kinds": kinds.length } as CSSProperties}>
      <div className={classes.name}>
        <strong title={name}>{name}</strong>
        <span className="n-soft">{one.project && one.weight !== 1 ? t("countsWeight", { running: one.running, waiting: one.waiting, weight: amount(one.weight ?? 1) }) : t("counts", { running: one.running, waiting: one.waiting })}</span>
      </div>
      <div className={classes.meter}>
        <p>
          <span>{t("share")}</span>
          <span>{words}</span>
        </p>
        <div className={classes.track} role="meter" aria-label={t("shareOf", { project: name })} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(100 * now)} aria-valuetext={words}>
          <div className={classes.fill} style={{ width: `${100 * now}%` }} />
          <div className={classes.recent} style={{ left: `calc(${100 * recent}% - 1px)` }} />
        </div>
      </div>
      {kinds.map(({ key, label, is, show }) => (
        <div key={key} className={classes.meter}>
          <p>
            <span>{label}</span>
            <span>{of(is, show)}</span>
          </p>
          <div className={classes.track} data-limited={is.limited || undefined} role="meter" aria-label={t("meterOf", { kind: label, project: name })} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(100 * is.part)} aria-valuetext={of(is, show, is.limited ? "ofQuota" : "ofAll")}>
            <div className={classes.fill} data-full={is.full || undefined} style={{ width: `${100 * is.part}%` }} />
          </div>
        </div>
      ))}
    </li>
  );
}
