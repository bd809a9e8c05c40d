/** The files that a run left: a tree, what each looks like, and registering one as a model. */
import { Button, Group } from "@mantine/core";
import { IconBox } from "@tabler/icons-react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "@/api/client";
import { useMay } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { FileTree } from "@/ui/FileTree";
import { bytes } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Preview } from "@/ui/preview/Preview";
import { useUrlState } from "@/ui/useUrlState";
import { artifactUrl } from "../exports";
import { RegisterModel } from "./RegisterModel";
import classes from "./Run.module.css";

export function Artifacts({ project, run }: { project: string; run: Schemas["Run"] }) {
  const { t } = useTranslation("runs");
  const [path, setPath] = useUrlState("file");
  const found = useQuery({
    queryKey: ["artifacts", project, run.id, run.artifacts],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/runs/{run}/artifacts", { params: { path: { project, run: run.id } } })),
    placeholderData: keepPreviousData,
    refetchInterval: run.state === "running" ? 10_000 : false,
  });
  if (found.error) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Loading />;
  const files = found.data.files;
  if (files.length === 0) {
    return (
      <Empty title={t("artifacts.emptyTitle")} cli={["nacre", "runs", "artifacts", run.id.slice(0, 8)]}>
        {t("artifacts.emptyText")}
      </Empty>
    );
  }
  const chosen = path || files[0]!.path;
  const size = files.reduce((sum, file) => sum + file.size, 0);
  return (
    <div className={classes.view}>
      <Group gap="md">
        <span className="n-soft">{t("artifacts.count", { count: files.length, size: bytes(size) })}</span>
        <Cli words={["nacre", "runs", "pull", run.id.slice(0, 8), chosen]} />
      </Group>
      <div className={classes.artifacts}>
        <FileTree files={files} selected={chosen} onSelect={setPath} label={t("tabs.artifacts")} />
        <File key={chosen} project={project} run={run} path={chosen} onOpen={setPath} />
      </div>
    </div>
  );
}

function File({ project, run, path, onOpen }: { project: string; run: Schemas["Run"]; path: string; onOpen: (path: string) => void }) {
  const { t } = useTranslation("runs");
  const may = useMay("editor") && !run.deleted_at;
  const [registering, setRegistering] = useState(false);
  const [offset, setOffset] = useState(0);
  const found = useQuery({
    queryKey: ["artifact-preview", project, run.id, run.artifacts, path, offset],
    queryFn: () =>
      ask(
        api.GET("/api/v1/projects/{project}/runs/{run}/preview/{path}", {
          params: { path: { project, run: run.id, path }, query: { offset } },
          // The path's slashes stay: the route takes the rest of the address.
          pathSerializer: () => artifactUrl(project, run.id, path).replace("/artifacts/", "/preview/"),
        }),
      ),
    placeholderData: keepPreviousData,
  });
  const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : null;
  return (
    <div className={classes.view}>
      {may && (
        <Group gap="sm">
          <Button variant="default" leftSection={<IconBox size={14} />} onClick={() => setRegistering(true)}>
            {t("register.title")}
          </Button>
        </Group>
      )}
      {found.error ? (
        <Failure error={found.error} retry={() => void found.refetch()} />
      ) : found.data ? (
        <Preview preview={found.data} bytes={found.data.kind === "folder" ? null : artifactUrl(project, run.id, path)} onPage={setOffset} onOpen={onOpen} />
      ) : (
        <Loading />
      )}
      <RegisterModel project={project} run={run} path={path} folder={folder} opened={registering} close={() => setRegistering(false)} />
    </div>
  );
}
