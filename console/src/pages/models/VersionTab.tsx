/** One version: what it is and takes, its conversion, its files. */
import { Button, Group } from "@mantine/core";
import { IconDownload, IconPencil, IconRefresh, IconTrash } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router";
import { api, ask } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { Fact, Facts } from "@/ui/Facts";
import { Failure } from "@/ui/Failure";
import { bytes, time } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { tell, tellError } from "@/ui/notify";
import { Status } from "@/ui/Status";
import { modelPath, useRefresh, type Version } from "./data";
import { EditVersion } from "./EditModel";
import { Files } from "./Files";
import classes from "./models.module.css";
import { SignatureTable } from "./SignatureTable";
import { TagPills } from "./Tags";
import { VersionAliases } from "./VersionAliases";
import { stageKey } from "./VersionsTab";

export function VersionTab({ version, chooser }: { version: Version; chooser: ReactNode }) {
  const { t } = useTranslation("models");
  const editor = useMay("editor");
  const [editing, setEditing] = useState(false);
  return (
    <div className={classes.stack}>
      <div className={classes.bar}>
        {chooser}
        {editor && (
          <Button variant="default" leftSection={<IconPencil size={14} />} onClick={() => setEditing(true)}>
            {t("common:edit")}
          </Button>
        )}
        {editor && <DeleteVersion version={version} />}
      </div>
      {version.description && <p className={classes.described}>{version.description}</p>}
      <TagPills tags={version.tags ?? {}} />
      <div className={classes.halves}>
        <section className={classes.section} aria-labelledby="about">
          <h2 id="about">{t("about")}</h2>
          <About version={version} />
        </section>
        <section className={classes.section} aria-labelledby="conversion">
          <h2 id="conversion">{t("conversion.title")}</h2>
          <Conversion version={version} />
        </section>
      </div>
      <section className={classes.section} aria-labelledby="signature">
        <h2 id="signature">{t("signature.title")}</h2>
        {version.signature ? <SignatureTable signature={version.signature} /> : <p className={classes.message}>{t("signature.none")}</p>}
      </section>
      <div className={classes.section}>
        <h2>{t("common:files")}</h2>
        <FilesOf version={version} />
      </div>
      {editor && <EditVersion key={version.id} version={version} opened={editing} onClose={() => setEditing(false)} />}
    </div>
  );
}

function About({ version }: { version: Version }) {
  const { t, i18n } = useTranslation("models");
  const base = `/p/${useProject().name}`;
  const { lineage } = version;
  const data = Object.entries(lineage.data ?? {});
  const facts: [string, ReactNode][] = [
    [t("framework"), version.framework],
    [t("common:size"), t("sizeOf", { size: bytes(version.size), count: version.files })],
    [t("aliases.title"), <VersionAliases key="aliases" version={version} />],
    [t("common:created"), time(version.created_at, i18n.language)],
  ];
  if (version.user) facts.push([t("common:user"), version.user]);
  if (version.stage !== "None") facts.push([t("stage.title"), t(stageKey(version.stage))]);
  if (lineage.run) {
    facts.push([
      t("from.run"),
      <Link key="run" to={`${base}/runs/${lineage.run}`}>
        {lineage.job ?? lineage.run.slice(0, 12)}
      </Link>,
    ]);
  }
  if (lineage.path) facts.push([t("from.path"), <code key="path" className="n-mono">{lineage.path}</code>]);
  if (data.length) {
    facts.push([
      t("from.data"),
      <span key="data">
        {data.map(([name, reference]) => {
          const [dataset, number] = reference.split("@");
          return (
            <span key={name}>
              <Link to={`${base}/data/${dataset}${number ? `?version=${number}` : ""}`}>{reference}</Link>{" "}
            </span>
          );
        })}
      </span>,
    ]);
  }
  if (lineage.environment) {
    facts.push([
      t("from.environment"),
      <Link key="environment" to={`${base}/environments/${lineage.environment}`}>
        {lineage.environment}
      </Link>,
    ]);
  }
  if (version.source) facts.push([t("from.source"), <code key="source" className="n-mono">{version.source}</code>]);
  return (
    <Facts names="fit">
      {facts.map(([name, value]) => (
        <Fact key={name} name={name}>
          {value}
        </Fact>
      ))}
    </Facts>
  );
}

function Conversion({ version }: { version: Version }) {
  const { t } = useTranslation("models");
  const project = useProject().name;
  const editor = useMay("editor");
  const refresh = useRefresh(project);
  const [asking, setAsking] = useState(false);
  const again = async () => {
    setAsking(true);
    try {
      await ask(
        api.POST("/api/v1/projects/{project}/models/{model}/versions/{version}/convert", {
          params: { path: { project, model: version.model, version: String(version.number) } },
        }),
      );
      tell(t("conversion.started"));
      await refresh(version.model);
    } catch (error) {
      tellError(error);
    } finally {
      setAsking(false);
    }
  };
  return (
    <>
      <Group gap="md">
        <Status state={version.conversion} title={version.message} />
        {version.conversion_job && (
          <Link to={`/p/${project}/jobs/${version.conversion_job}?tab=log`}>{t("conversion.log", { job: version.conversion_job })}</Link>
        )}
      </Group>
      <p className={classes.message} data-bad={version.conversion === "failed" || undefined}>
        {version.message ?? t(`conversion.text.${version.conversion}`)}
      </p>
      {editor && version.conversion === "failed" && (
        <Group gap="sm">
          <Button variant="default" leftSection={<IconRefresh size={14} />} loading={asking} onClick={() => void again()}>
            {t("conversion.again")}
          </Button>
          <Cli words={["nacre", "model", "convert", `${version.model}/${version.number}`]} />
        </Group>
      )}
    </>
  );
}

function FilesOf({ version }: { version: Version }) {
  const { t } = useTranslation("models");
  const project = useProject().name;
  const number = String(version.number);
  const files = useQuery({
    queryKey: ["model-files", project, version.id, version.onnx_digest],
    queryFn: () =>
      ask(
        api.GET("/api/v1/projects/{project}/models/{model}/versions/{version}/files", {
          params: { path: { project, model: version.model, version: number } },
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
  });
  if (files.error) return <Failure error={files.error} retry={() => void files.refetch()} />;
  if (!files.data) return <Loading />;
  return (
    <>
      <Files project={project} files={files.data.files} onnx={files.data.onnx ?? null} />
      <Group gap="sm">
        <Button
          component="a"
          variant="default"
          href={`/api/v1/projects/${encodeURIComponent(project)}/models/${encodeURIComponent(version.model)}/versions/${number}/archive`}
          download={`${version.model}-${number}.zip`}
          leftSection={<IconDownload size={14} />}
        >
          {t("files.all")}
        </Button>
        <Cli words={["nacre", "model", "pull", `${version.model}/${number}`, "--zip", `${version.model}-${number}.zip`]} />
      </Group>
    </>
  );
}

function DeleteVersion({ version }: { version: Version }) {
  const { t } = useTranslation("models");
  const project = useProject().name;
  const confirm = useConfirm();
  const navigate = useNavigate();
  const refresh = useRefresh(project);
  const name = `${version.model}/${version.number}`;
  const remove = async () => {
    const aliases = (version.aliases ?? []).map((alias) => `@${alias}`).join(", ");
    const yes = await confirm({
      title: t("delete.title", { name }),
      lost: [
        t("delete.versionLost", { size: bytes(version.size), count: version.evaluations?.length ?? 0 }),
        aliases && t("delete.aliasesLost", { aliases }),
      ].join(" "),
      action: t("common:delete"),
    });
    if (!yes) return;
    try {
      await ask(
        api.DELETE("/api/v1/projects/{project}/models/{model}/versions/{version}", {
          params: { path: { project, model: version.model, version: String(version.number) } },
        }),
      );
      tell(t("delete.done", { name }));
      await navigate(modelPath(project, version.model));
      await refresh(version.model);
    } catch (error) {
      tellError(error);
    }
  };
  return (
    <Button variant="default" leftSection={<IconTrash size={14} />} onClick={() => void remove()}>
      {t("actions.deleteVersion")}
    </Button>
  );
}
