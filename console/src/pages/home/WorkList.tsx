/** What runs now, and what waits and why. */
import { Skeleton } from "@mantine/core";
import { IconDeviceLaptop, IconPlayerPlay } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { money } from "@/ui/format";
import { Status } from "@/ui/Status";
import { Elapsed } from "./Elapsed";
import classes from "./Home.module.css";
import { Section } from "./Section";
import type { Work } from "./work";

export function WorkList({ work, several }: { work: Work[] | undefined; several: boolean }) {
  const { t } = useTranslation(["home", "common"]);
  const running = work?.filter((one) => !one.waits).length ?? 0;
  const waiting = (work?.length ?? 0) - running;
  return (
    <Section title={t("now.title")} aside={work && t("now.counts", { running, waiting })}>
      {!work ? (
        <Skeleton height={72} />
      ) : work.length === 0 ? (
        <p className={classes.none}>{t("now.none")}</p>
      ) : (
        <ul className={classes.list}>
          {work.map((one) => (
            <Row key={one.id} work={one} several={several} />
          ))}
        </ul>
      )}
    </Section>
  );
}

function Row({ work, several }: { work: Work; several: boolean }) {
  const { t } = useTranslation(["home", "common"]);
  const Icon = work.kind === "job" ? IconPlayerPlay : IconDeviceLaptop;
  return (
    <li className={classes.row} data-waits={work.waits || undefined}>
      <Icon size={16} stroke={1.75} className={classes.icon} aria-label={t(`kinds.${work.kind}`)} />
      <div className={classes.what}>
        <div className={classes.first}>
          <Link to={work.to} className={classes.name}>
            {work.name}
          </Link>
          {several && <span className={classes.soft}>{work.project}</span>}
          <Status state={work.state} />
        </div>
        {work.message && <div className={classes.message}>{work.message}</div>}
      </div>
      <div className={classes.figures}>
        <span>
          <Elapsed since={work.since} />
        </span>
        <span className={classes.soft}>
          {work.waits ? t("common:perHour", { price: money(work.pricePerHour, work.currency) }) : money(work.cost, work.currency)}
        </span>
      </div>
    </li>
  );
}
