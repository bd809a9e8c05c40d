/** What was asked for, and what became of it. */
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useProject } from "@/app/project";
import { Cli, CopyLine } from "@/ui/Cli";
import { Card, Cards, CardStack, Fact, Facts } from "@/ui/Facts";
import { bytes, duration, time } from "@/ui/format";
import { type Environment, usesOf } from "./environment";
import classes from "./environments.module.css";
import { packagesOf } from "./lock";

export function Overview({ environment }: { environment: Environment }) {
  const { t, i18n } = useTranslation("environments");
  const { name: project } = useProject();
  const { name } = environment;
  const uses = useQuery({ queryKey: ["environment", project, name, "uses"], queryFn: () => usesOf(project, name) });
  const requirements = environment.requirements ?? [];
  const packages = packagesOf(environment.lock ?? "", requirements);
  const versions = new Map(packages.filter((one) => one.asked).map((one) => [one.name.toLowerCase().replaceAll(/[-_.]+/g, "-"), one.version]));
  const lockedTo = (line: string) => versions.get((/^[A-Za-z0-9._-]+/.exec(line.trim())?.[0] ?? "").toLowerCase().replaceAll(/[-_.]+/g, "-"));
  return (
    <Cards>
      <CardStack>
        <Card title={t("overview.requirements")}>
          {requirements.length ? (
            <table className={classes.requirements}>
              <thead>
                <tr>
                  <th scope="col">{t("overview.asked")}</th>
                  <th scope="col">{t("overview.locked")}</th>
                </tr>
              </thead>
              <tbody>
                {requirements.map((line, index) => (
                  // Lines have no identity but their place.
                  <tr key={index}>
                    <td>{line}</td>
                    <td>{lockedTo(line) ?? "–"}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          ) : (
            <p className="n-soft">{t("overview.fromFile")}</p>
          )}
        </Card>
        {environment.state !== "failed" && (
          <Card title={t("overview.use")}>
            <p className="n-soft">{environment.state === "ready" ? t("overview.useText") : t("overview.useSoon")}</p>
            <div className={classes.lines}>
              <Cli words={["nacre", "run", "--environment", name, "train.py"]} />
              <Cli words={["nacre", "instance", "create", "lab", "--env", name]} />
            </div>
          </Card>
        )}
      </CardStack>
      <Card title={t("overview.facts")}>
        <Facts>
          {environment.description && <Fact name={t("common:description")}>{environment.description}</Fact>}
          <Fact name="Python">{environment.python ?? t("overview.serversOwn")}</Fact>
          <Fact name={t("overview.packages")}>{packages.length || "–"}</Fact>
          <Fact name={t("common:size")}>
            {bytes(environment.size)} {typeof environment.size === "number" && <span className="n-soft">({t("overview.shared")})</span>}
          </Fact>
          <Fact name={t("buildTime")}>{duration(environment.build_seconds)}</Fact>
          <Fact name={t("overview.used")}>
            {uses.data ? t("overview.usedBy", { jobs: t("jobs", { count: uses.data.job_count }), instances: t("instances", { count: uses.data.instance_count }) }) : "–"}
          </Fact>
          <Fact name={t("common:created")}>{time(environment.created_at, i18n.language)}</Fact>
          {environment.digest && (
            <Fact name={t("overview.digest")}>
              <span className={classes.digest} title={environment.digest}>
                <CopyLine text={environment.digest} />
              </span>
            </Fact>
          )}
        </Facts>
      </Card>
    </Cards>
  );
}
