/** The latest runs, each with the curve that it is known by. */
import { Anchor, Skeleton } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { inProject } from "@/app/pages";
import { colorOf } from "@/ui/charts/colors";
import { number } from "@/ui/format";
import { Moment } from "@/ui/Moment";
import { Status } from "@/ui/Status";
import classes from "./Home.module.css";
import { Section } from "./Section";
import { type HomeRun, useSparks } from "./useOverview";
import { mainMetric, sparkline } from "./work";

const SIZE = { width: 72, height: 22 };

export function RecentRuns({ runs, several }: { runs: HomeRun[] | undefined; several: boolean }) {
  const { t } = useTranslation("home");
  const sparks = useSparks(runs ?? []);
  const first = runs?.[0]?.project;
  return (
    <Section
      title={t("runs.title")}
      more={
        first && (
          <Anchor size="sm" component={Link} to={inProject(first, "/runs")}>
            {t("runs.all")}
          </Anchor>
        )
      }
    >
      {!runs ? (
        <Skeleton height={160} />
      ) : runs.length === 0 ? (
        <p className={classes.none}>{t("runs.none")}</p>
      ) : (
        <ul className={classes.list}>
          {runs.map((run) => {
            const key = mainMetric(Object.keys(run.metrics ?? {}));
            const last = key === null ? undefined : run.metrics?.[key]?.last;
            return (
              <li key={run.id} className={classes.row}>
                <div className={classes.what}>
                  <div className={classes.first}>
                    <Link to={inProject(run.project, `/runs/${run.id}`)} className={classes.name}>
                      {run.name}
                    </Link>
                    {several && <span className={classes.soft}>{run.project}</span>}
                    <Status state={run.state} />
                  </div>
                </div>
                <Sparkline values={sparks.get(run.id) ?? []} color={colorOf(run.id)} />
                <div className={classes.metric}>
                  {key !== null && (
                    <>
                      <span>{typeof last === "number" ? number(last, 4) : String(last)}</span>
                      <span className={classes.soft} title={key}>
                        {key}
                      </span>
                    </>
                  )}
                </div>
                <Moment iso={run.started_at} className={classes.when} />
              </li>
            );
          })}
        </ul>
      )}
    </Section>
  );
}

/** Only a hint of a shape: the figure beside it says the value. */
function Sparkline({ values, color }: { values: (number | null)[]; color: string }) {
  const path = sparkline(values, SIZE.width, SIZE.height);
  return (
    <svg className={classes.spark} {...SIZE} aria-hidden>
      {path && <path d={path} fill="none" stroke={color} strokeWidth={1.5} strokeLinejoin="round" />}
    </svg>
  );
}
