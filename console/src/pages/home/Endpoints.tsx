/** How the endpoints are. */
import { Anchor, Skeleton } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Schemas } from "@/api/client";
import { inProject } from "@/app/pages";
import { number } from "@/ui/format";
import { Status } from "@/ui/Status";
import classes from "./Home.module.css";
import { Section } from "./Section";

interface Props {
  endpoints: Schemas["Endpoint"][] | undefined;
  several: boolean;
  project: string;
}

export function Endpoints({ endpoints, several, project }: Props) {
  const { t } = useTranslation("home");
  const ready = endpoints?.filter(({ state }) => state === "ready" || state === "updating").length ?? 0;
  return (
    <Section
      title={t("endpoints.title")}
      aside={endpoints && endpoints.length > 0 && t("endpoints.ready", { ready, of: endpoints.length })}
      more={
        <Anchor size="sm" component={Link} to={inProject(endpoints?.[0]?.project ?? project, "/endpoints")}>
          {t("endpoints.all")}
        </Anchor>
      }
    >
      {!endpoints ? (
        <Skeleton height={64} />
      ) : endpoints.length === 0 ? (
        <p className={classes.none}>{t("endpoints.none")}</p>
      ) : (
        <ul className={classes.list}>
          {endpoints.map((one) => (
            <li key={one.id} className={classes.row}>
              <div className={classes.what}>
                <div className={classes.first}>
                  <Link to={inProject(one.project, `/endpoints/${encodeURIComponent(one.name)}`)} className={classes.name}>
                    {one.name}
                  </Link>
                  {several && <span className={classes.soft}>{one.project}</span>}
                  <Status state={one.state} title={one.message} />
                </div>
                <div className={classes.message}>
                  {one.state === "failed" && one.message ? (
                    one.message
                  ) : (
                    <>
                      {one.model}/{one.version}
                      {one.requests !== null && one.requests !== undefined && ` · ${t("endpoints.requests", { count: one.requests })}`}
                      {!!one.errors && (
                        <span className={classes.bad}> · {t("endpoints.errors", { count: one.errors })}</span>
                      )}
                      {typeof one.latency_p50_ms === "number" && ` · ${t("endpoints.latency", { p50: number(one.latency_p50_ms, 3) })}`}
                    </>
                  )}
                </div>
              </div>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}
