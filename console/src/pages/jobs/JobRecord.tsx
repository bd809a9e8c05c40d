/** Everything that is needed to do the job again, and how it really was kept apart from the machine. */
import { Anchor, Group, Stack } from "@mantine/core";
import { type ReactNode, lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Button } from "@mantine/core";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { bytes, duration } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Isolation } from "./Isolation";
import { type Job, replicasOf } from "./job";
import classes from "./JobRecord.module.css";

const CodeOfJob = lazy(() => import("./CodeOfJob"));

export function JobRecord({ job }: { job: Job }) {
  const { t } = useTranslation("jobs");
  const { name: project } = useProject();
  const [code, setCode] = useState(false);
  const { record, spec } = job;
  if (!record) return <p className="n-soft">{t("record.none")}</p>;
  const hardware = (record.hardware ?? {}) as Record<string, string | number | null>;
  return (
    <Stack gap="lg">
      {job.kind === "task" && (
        <Group gap="sm">
          <span className="n-soft">{t("record.note")}</span>
          <Cli words={["nacre", "run", "--like", job.name]} />
        </Group>
      )}
      <dl className={classes.facts}>
        <Fact name={t("record.commands")}>
          <pre className={classes.code}>{record.commands.join("\n")}</pre>
        </Fact>
        <Fact name={t("record.code")}>
          {record.code ? (
            <>
              <Digest value={record.code} />
              <div>
                <Button variant="default" mt={4} onClick={() => setCode(!code)} aria-expanded={code}>
                  {code ? t("record.hideCode") : t("record.showCode")}
                </Button>
              </div>
              {code && (
                <div className={classes.whole}>
                  <Suspense fallback={<Loading />}>
                    <CodeOfJob project={project} manifest={record.code} />
                  </Suspense>
                </div>
              )}
            </>
          ) : (
            t("record.noCode")
          )}
        </Fact>
        <Fact name={t("record.inputs")}>
          {Object.keys(record.inputs ?? {}).length
            ? Object.entries(record.inputs ?? {}).map(([name, reference]) => <Input key={name} project={project} name={name} reference={reference} as={spec.inputs?.[name]?.as ?? null} />)
            : t("common:none")}
        </Fact>
        <Fact name={t("record.environment")}>
          <Anchor component={Link} size="sm" to={`/p/${project}/environments/${record.environment}`}>
            {record.environment}
          </Anchor>
          {record.environment_digest && <Digest value={record.environment_digest} />}
        </Fact>
        <Fact name={t("record.lock")}>{record.lock_digest ? <Digest value={record.lock_digest} /> : <span className="n-soft">{t("record.noLock")}</span>}</Fact>
        <Fact name={t("record.variables")}>
          {Object.keys(record.env ?? {}).length ? (
            <pre className={classes.code}>
              {Object.entries(record.env ?? {})
                .map(([key, value]) => `${key}=${value}`)
                .join("\n")}
            </pre>
          ) : (
            t("common:none")
          )}
        </Fact>
        <Fact name={t("record.secrets")}>{record.secrets?.length ? record.secrets.join(", ") : t("common:none")}</Fact>
        <Fact name={t("record.hardware")}>
          {hardware.instance_type && <div>{hardware.instance_type}</div>}
          {replicasOf(spec) && <div>{t("record.replicas", { replicas: replicasOf(spec)!.replace("..", "–"), count: spec.processes_per_replica ?? 1 })}</div>}
          {spec.distribution?.type && spec.distribution.type !== "none" && <div>{t("record.distribution", { type: t(`form.distributions.${spec.distribution.type}`) })}</div>}
          <div>
            {t("record.shape", {
              cpu: hardware.cpu ?? 1,
              memory: bytes(Number(hardware.memory ?? 0)),
              disk: bytes(Number(hardware.disk ?? 0)),
            })}
            {Number(hardware.gpu ?? 0) > 0 && ` · ${hardware.gpu} ${hardware.gpu_name ?? "GPU"}`}
          </div>
        </Fact>
        <Fact name={t("record.limits")}>
          <div>{spec.max_duration ? t("record.maxDuration", { time: duration(spec.max_duration) }) : t("record.noMaxDuration")}</div>
          <div>{spec.max_restarts ? t("record.restarts", { count: spec.max_restarts }) : t("record.noRestarts")}</div>
          {spec.priority !== "normal" && <div>{t("record.class", { priority: t(`form.priorities.${spec.priority ?? "normal"}`) })}</div>}
          {spec.spot && <div>{t("record.spot")}</div>}
        </Fact>
        {spec.resume_from && (
          <Fact name={t("fields.resume_from")}>
            <Anchor component={Link} size="sm" to={`/p/${project}/jobs/${spec.resume_from}`}>
              {spec.resume_from}
            </Anchor>
          </Fact>
        )}
        <Fact name={t("record.capture")}>{record.capture === "off" ? t("record.captureOff") : t("record.captureOn")}</Fact>
        <Fact name={t("record.nacre")}>{record.nacre}</Fact>
        <Fact name={t("record.id")}>
          <code className="n-mono">{job.id}</code>
        </Fact>
      </dl>
      <Isolation job={job} />
    </Stack>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className={classes.fact}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Digest({ value }: { value: string }) {
  return (
    <code className={classes.digest} title={value}>
      {value}
    </code>
  );
}

function Input({ project, name, reference, as }: { project: string; name: string; reference: string; as: string | null }) {
  const { t } = useTranslation("jobs");
  const [dataset, version] = reference.split("@");
  return (
    <div>
      <code className="n-mono">{name}</code>
      {" ← "}
      <Anchor component={Link} size="sm" to={`/p/${project}/data/${dataset}${version ? `?version=${version}` : ""}`}>
        {reference}
      </Anchor>
      {as && <span className="n-soft"> {t("record.as", { name: as })}</span>}
    </div>
  );
}
