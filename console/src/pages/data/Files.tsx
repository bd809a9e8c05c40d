/** The files of a version as a tree, and what the chosen one looks like. `?path=` and `?row=` hold the place. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { useProject } from "@/app/project";
import { Failure } from "@/ui/Failure";
import { FileTree } from "@/ui/FileTree";
import { Loading } from "@/ui/Loading";
import { Preview } from "@/ui/preview/Preview";
import classes from "./data.module.css";
import { filesQuery, fileUrl, previewQuery } from "./dataset";

/** What is shown before somebody chooses: what explains the rest, else the first file. */
export function firstOf(files: { path: string }[]): string | null {
  const readme = files.find((file) => /^readme(\.\w+)?$/i.test(file.path));
  return (readme ?? files.find((file) => !file.path.includes("/")) ?? files[0])?.path ?? null;
}

interface Props {
  dataset: string;
  version: number;
}

export function Files({ dataset, version }: Props) {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const found = useQuery(filesQuery(project, dataset, version));
  const [params, setParams] = useSearchParams();
  const asked = params.get("path");
  const files = found.data?.files ?? [];
  const selected = asked ?? firstOf(files);
  const offset = Number(params.get("row") ?? 0) || 0;
  const go = (path: string, row = 0) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        after.set("path", path);
        if (row) after.set("row", String(row));
        else after.delete("row");
        return after;
      },
      { replace: true, preventScrollReset: true },
    );
  if (found.error && !found.data) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Loading />;
  return (
    <div className={classes.files}>
      <FileTree files={files} selected={selected} onSelect={(path) => go(path)} label={t("tabs.files")} />
      {selected === null ? (
        <p className={classes.hint}>{t("chooseFile")}</p>
      ) : (
        <One {...{ dataset, version, offset }} path={selected} onPage={(row) => go(selected, row)} />
      )}
    </div>
  );
}

function One({ dataset, version, path, offset, onPage }: Props & { path: string; offset: number; onPage: (row: number) => void }) {
  const { name: project } = useProject();
  const found = useQuery({ ...previewQuery(project, dataset, version, path, offset), placeholderData: keepPreviousData });
  if (found.error) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Loading />;
  return (
    <div className={classes.preview} data-old={found.isPlaceholderData || undefined} aria-busy={found.isPlaceholderData}>
      <Preview preview={found.data} bytes={fileUrl(project, dataset, version, found.data.path)} onPage={onPage} />
    </div>
  );
}
