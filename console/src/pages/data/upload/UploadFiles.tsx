/** The files of an upload, the unfinished ones first. */
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { type Column, DataTable } from "@/ui/DataTable";
import { bytes } from "@/ui/format";
import classes from "./upload.module.css";
import type { FileState, Upload, UploadFile } from "./Upload";
import { useProgress } from "./uploads";

const ORDER: Record<FileState, number> = { sending: 0, hashing: 1, hashed: 2, waiting: 3, there: 4 };

export function UploadFiles({ upload }: { upload: Upload }) {
  const { t } = useTranslation("data");
  const progress = useProgress(upload);
  // Files change in place; a new progress says that some did.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const rows = useMemo(() => [...upload.files].sort((a, b) => ORDER[a.state] - ORDER[b.state] || b.blob.size - a.blob.size).map((file) => ({ ...file })), [upload, progress]);
  const columns: Column<UploadFile>[] = [
    { key: "path", label: t("going.path"), cell: (file) => <span title={file.path}>{file.path}</span> },
    { key: "state", label: t("common:state"), cell: (file) => t(`fileStates.${file.state}`), width: 120 },
    { key: "done", label: t("going.progress"), cell: (file) => <Bar file={file} />, width: 140, wide: true },
    { key: "size", label: t("common:size"), cell: (file) => bytes(file.blob.size), numeric: true, width: 110 },
  ];
  return <DataTable label={t("going.title", { name: upload.name })} rows={rows} columns={columns} id={(file) => file.path} height={420} rowHeight={30} />;
}

function Bar({ file }: { file: UploadFile }) {
  const share = file.state === "there" ? 1 : file.blob.size ? Math.min(1, file.done / file.blob.size) : 0;
  return (
    <span className={classes.fileBar} aria-hidden data-there={file.state === "there" || undefined}>
      <span style={{ width: `${String(100 * share)}%` }} />
    </span>
  );
}
