/** The files of an upload, the unfinished ones first. */
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { type Column, DataTable } from "@/ui/DataTable";
import { bytes } from "@/ui/format";
import classes from "./upload.module.css";
import type { FileState, UploadFile } from "./hashWork";
import type { Upload } from "./Upload";
import { useProgress } from "./uploads";

const MOST = 500;

/** What is worked at, then what waits, then what is done; at most so many of each. */
export function shownFiles(files: UploadFile[], most = MOST): UploadFile[] {
  const groups: UploadFile[][] = [[], [], []];
  const group: Record<FileState, number> = { sending: 0, hashing: 0, hashed: 1, waiting: 1, there: 2 };
  for (const file of files) {
    const mine = groups[group[file.state]]!;
    if (mine.length < most) mine.push(file);
  }
  return groups.flat();
}

export function UploadFiles({ upload }: { upload: Upload }) {
  const { t } = useTranslation("data");
  const progress = useProgress(upload);
  // Files change in place; a new progress says that some did.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const rows = useMemo(() => shownFiles(upload.files).map((file) => ({ ...file })), [upload, progress]);
  const columns: Column<UploadFile>[] = [
    { key: "path", label: t("going.path"), cell: (file) => <span title={file.path}>{file.path}</span> },
    { key: "state", label: t("common:state"), cell: (file) => t(`fileStates.${file.state}`), width: 120 },
    { key: "done", label: t("going.progress"), cell: (file) => <Bar file={file} />, width: 140, wide: true },
    { key: "size", label: t("common:size"), cell: (file) => bytes(file.blob.size), numeric: true, width: 110 },
  ];
  const hidden = upload.files.length - rows.length;
  return (
    <>
      <DataTable label={t("going.title", { name: upload.name })} rows={rows} columns={columns} id={(file) => file.path} height={420} rowHeight={30} />
      {hidden > 0 && <p className={classes.soft}>{t("going.more", { count: hidden })}</p>}
    </>
  );
}

function Bar({ file }: { file: UploadFile }) {
  const share = file.state === "there" ? 1 : file.blob.size ? Math.min(1, file.done / file.blob.size) : 0;
  return (
    <span className={classes.fileBar} aria-hidden data-there={file.state === "there" || undefined}>
      <span style={{ width: `${String(100 * share)}%` }} />
    </span>
  );
}
