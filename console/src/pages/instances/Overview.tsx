/** What an instance is: its machine, its environment, its data, whose it is. */
import { Anchor } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useProject } from "@/app/project";
import { Cli, CopyLine } from "@/ui/Cli";
import { Card, Cards, CardStack, Fact, Facts } from "@/ui/Facts";
import { bytes, duration, time } from "@/ui/format";
import { appOf, type Instance, type InstanceType, isTensorBoard, listTypes } from "./instance";
import classes from "./instances.module.css";

/** `1 CPU · 2.0 GiB`, with GPUs where there are some. */
export function shapeOf(type: InstanceType): string {
  const parts = [`${type.cpu} CPU`, bytes(type.memory)];
  if (type.gpu) parts.push(`${type.gpu} ${type.gpu_name ?? "GPU"}`);
  return parts.join(" · ");
}

export function Overview({ instance }: { instance: Instance }) {
  const { t, i18n } = useTranslation("instances");
  const { name: project } = useProject();
  const types = useQuery({ queryKey: ["instance-types"], queryFn: listTypes, staleTime: 60_000 });
  const type = types.data?.items.find((one) => one.name === instance.type);
  const board = isTensorBoard(instance);
  return (
    <Cards>
      <Card title={t("overview.machine")}>
        <Facts names={128}>
          <Fact name={t("app")}>{appOf(instance)}</Fact>
          <Fact name={t("type")}>
            {instance.type} {type && <span className="n-soft">({shapeOf(type)})</span>}
          </Fact>
          {!board && (
            <Fact name={t("environment")}>
              <Anchor component={Link} size="sm" to={`/p/${project}/environments/${encodeURIComponent(instance.environment)}`}>
                {instance.environment}
              </Anchor>
            </Fact>
          )}
          <Fact name={t("common:user")}>{instance.user}</Fact>
          <Fact name={t("idle.timeout")}>{t("idle.after", { time: duration(instance.idle_timeout) })}</Fact>
          <Fact name={t("common:created")}>{time(instance.created_at, i18n.language)}</Fact>
          {instance.started_at && <Fact name={t("common:started")}>{time(instance.started_at, i18n.language)}</Fact>}
          {instance.temporary && <Fact name={t("overview.temporary")}>{t("overview.temporaryText")}</Fact>}
          <Fact name="ID">
            <span className="n-mono">{instance.id}</span>
          </Fact>
        </Facts>
      </Card>
      <CardStack>
        {board ? <Runs instance={instance} /> : <Data instance={instance} />}
        {!board && <Inside instance={instance} />}
      </CardStack>
    </Cards>
  );
}

function Inside({ instance }: { instance: Instance }) {
  const { t } = useTranslation("instances");
  return (
    <Card title={t("overview.inside")}>
      <Facts names={128}>
        <Fact name={<code>/home/user</code>}>{t("overview.home")}</Fact>
        <Fact name={<code>/data</code>}>{t("overview.dataFolder")}</Fact>
        <Fact name={<code>import nacre</code>}>{t("overview.nacre")}</Fact>
      </Facts>
      {instance.state === "running" && (
        <div className={classes.lines}>
          <Cli words={["nacre", "instance", "terminal", instance.name]} />
          <Cli words={["nacre", "instance", "exec", instance.name, "1+1"]} />
        </div>
      )}
    </Card>
  );
}

function Data({ instance }: { instance: Instance }) {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const mounts = Object.entries(instance.data ?? {});
  return (
    <Card title={t("overview.data")}>
      {mounts.length === 0 ? (
        <p className="n-soft">{t("overview.noData")}</p>
      ) : (
        <table className={classes.mounts}>
          <thead>
            <tr>
              <th scope="col">{t("overview.path")}</th>
              <th scope="col">{t("overview.dataset")}</th>
            </tr>
          </thead>
          <tbody>
            {mounts.map(([name, reference]) => {
              const [dataset = "", version = ""] = reference.split("@");
              return (
                <tr key={name}>
                  <td>
                    <CopyLine text={`/data/${name}`} />
                  </td>
                  <td>
                    <Anchor component={Link} size="sm" to={`/p/${project}/data/${encodeURIComponent(dataset)}?version=${version}`}>
                      {reference}
                    </Anchor>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </Card>
  );
}

function Runs({ instance }: { instance: Instance }) {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const runs = instance.runs ?? [];
  return (
    <Card title={t("overview.runs", { count: runs.length })}>
      <ul className={classes.runs}>
        {runs.map((run) => (
          <li key={run}>
            <Anchor component={Link} size="sm" className="n-mono" to={`/p/${project}/runs/${run}`}>
              {run}
            </Anchor>
          </li>
        ))}
      </ul>
    </Card>
  );
}
