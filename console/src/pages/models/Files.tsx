/** A version's files, each to download; its ONNX form stands among them. */
import { ActionIcon } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import { type Column, DataTable } from "@/ui/DataTable";
import { bytes } from "@/ui/format";

type File = Schemas["FileEntry"];
type Row = File & { onnx: boolean };

export function Files({ project, files, onnx }: { project: string; files: File[]; onnx: File | null }) {
  const { t } = useTranslation("models");
  const rows: Row[] = files.map((file) => ({ ...file, onnx: false }));
  if (onnx) rows.push({ ...onnx, onnx: true });
  const columns: Column<Row>[] = [
    { key: "path", label: t("files.path"), cell: (row) => <span className="n-mono">{row.path}</span> },
    { key: "what", label: t("files.what"), cell: (row) => t(row.onnx ? "files.converted" : "files.registered"), width: 150 },
    { key: "size", label: t("common:size"), cell: (row) => bytes(row.size), numeric: true, width: 110 },
    { key: "digest", label: "BLAKE3", cell: (row) => <span className="n-mono n-soft">{row.digest.slice(0, 12)}</span>, width: 130, wide: true },
    {
      key: "download",
      label: t("common:download"),
      cell: (row) => (
        <ActionIcon
          component="a"
          href={`/api/v1/projects/${encodeURIComponent(project)}/blobs/${row.digest}`}
          download={row.path.split("/").at(-1)}
          aria-label={t("files.download", { path: row.path })}
        >
          <IconDownload size={16} />
        </ActionIcon>
      ),
      width: 100,
    },
  ];
  return <DataTable label={t("common:files")} rows={rows} columns={columns} id={(row) => `${row.onnx ? "onnx:" : ""}${row.path}`} height={420} />;
}
