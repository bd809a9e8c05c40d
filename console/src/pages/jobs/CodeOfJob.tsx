/** The files that a job ran, to read. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { CodeEditor } from "@/ui/CodeEditor";
import { Failure } from "@/ui/Failure";
import { FileTree } from "@/ui/FileTree";
import { Loading } from "@/ui/Loading";
import classes from "./code.module.css";
import { languageOf, manifestOf, MAX_EDITED, textOf } from "./codeFiles";

export default function CodeOfJob({ project, manifest }: { project: string; manifest: string }) {
  const { t } = useTranslation("jobs");
  const [chosen, setChosen] = useState<string | null>(null);
  const files = useQuery({ queryKey: ["manifest", project, manifest], queryFn: () => manifestOf(project, manifest), staleTime: Number.POSITIVE_INFINITY });
  const path = chosen ?? files.data?.find((file) => /\.(py|sh)$/.test(file.path))?.path ?? files.data?.[0]?.path ?? null;
  const file = files.data?.find((one) => one.path === path);
  const small = file !== undefined && file.size <= MAX_EDITED;
  const text = useQuery({
    queryKey: ["blob", project, file?.digest],
    queryFn: () => textOf(project, file!.digest),
    enabled: small,
    staleTime: Number.POSITIVE_INFINITY,
  });
  if (files.error) return <Failure error={files.error} retry={() => void files.refetch()} />;
  if (!files.data) return <Loading />;
  return (
    <div className={classes.panes}>
      <FileTree files={files.data} selected={path} onSelect={setChosen} label={t("code.files")} height={360} />
      {file && (
        <div className={classes.pane}>
          {!small || text.data === null ? (
            <p className="n-soft">{t("code.binary", { name: file.path })}</p>
          ) : text.error ? (
            <Failure error={text.error} />
          ) : text.data === undefined ? (
            <Loading />
          ) : (
            <CodeEditor label={file.path} value={text.data} language={languageOf(file.path)} readOnly height={360} />
          )}
        </div>
      )}
    </div>
  );
}
