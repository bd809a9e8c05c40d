/** All images of a version, drawn as far as they are seen. */
import { Select } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useProject } from "@/app/project";
import { bytes } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { useUrlState } from "@/ui/useUrlState";
import classes from "./data.module.css";
import { type FileEntry, filesQuery, fileUrl, isImage } from "./dataset";

const CELL = 112;
const GAP = 8;
const WORDS = 20;
/** Larger files are not fetched only to be drawn small. */
const MOST_BYTES = 8 * 2 ** 20;
const ALL = "";

const collator = new Intl.Collator("en", { numeric: true });

/** By folder, then by name, numbers as numbers. */
export function inOrder<F extends { path: string }>(files: F[]): F[] {
  const keyed = files.map((file) => ({ file, folder: folderOf(file.path) }));
  keyed.sort((a, b) => collator.compare(a.folder, b.folder) || collator.compare(a.file.path, b.file.path));
  return keyed.map(({ file }) => file);
}

/** The folder of a path; empty at the top. */
export function folderOf(path: string): string {
  const cut = path.lastIndexOf("/");
  return cut < 0 ? "" : path.slice(0, cut);
}

export default function Images({ dataset, version }: { dataset: string; version: number }) {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const [folder, setFolder] = useUrlState("folder", ALL);
  const found = useQuery(filesQuery(project, dataset, version));
  const images = useMemo(() => inOrder((found.data?.files ?? []).filter((file) => isImage(file.path))), [found.data]);
  const folders = useMemo(() => [...new Set(images.map((file) => folderOf(file.path)))], [images]);
  const shown = useMemo(
    () => (folder ? images.filter((file) => folderOf(file.path) === folder) : images),
    [images, folder],
  );
  if (!found.data) return <Loading />;
  return (
    <>
      <div className={classes.bar}>
        {folders.length > 1 && (
          <Select
            label={t("images.folder")}
            value={folder}
            onChange={(value) => setFolder(value ?? ALL)}
            data={[{ value: ALL, label: t("images.all") }, ...folders.filter(Boolean).map((one) => ({ value: one, label: one }))]}
            searchable={folders.length > 10}
            allowDeselect={false}
            w={240}
          />
        )}
        <span className={classes.soft}>{t("images.count", { count: shown.length })}</span>
      </div>
      <Grid key={folder} {...{ project, dataset, version }} images={shown} folders={!folder && folders.length > 1} />
    </>
  );
}

interface GridProps {
  project: string;
  dataset: string;
  version: number;
  images: FileEntry[];
  /** Whether names are shown with their folder's. */
  folders: boolean;
}

function Grid({ project, dataset, version, images, folders }: GridProps) {
  const { t } = useTranslation("data");
  const { ref, width } = useElementSize();
  const scroller = useRef<HTMLDivElement>(null);
  const columns = Math.max(2, Math.floor((width + GAP) / (CELL + GAP)));
  const rows = Math.ceil(images.length / columns);
  const side = width ? (width - GAP * (columns - 1)) / columns : CELL;
  const height = Math.floor(side) + WORDS + GAP;
  // eslint-disable-next-line react-hooks/incompatible-library -- the compiler leaves this component alone
  const virtualizer = useVirtualizer({
    count: width ? rows : 0,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    overscan: 2,
  });
  return (
    // A region that scrolls has to be reachable by keys.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div ref={scroller} className={classes.images} style={{ height: virtualizer.getTotalSize() + 2 * GAP + 2 }} role="region" aria-label={t("tabs.images")} tabIndex={0}>
      <div ref={ref} style={{ height: virtualizer.getTotalSize(), position: "relative" }}>
        {virtualizer.getVirtualItems().map(({ index, start, key }) => (
          <div
            key={key}
            className={classes.imageRow}
            style={{ transform: `translateY(${String(start)}px)`, gridTemplateColumns: `repeat(${String(columns)}, 1fr)`, gap: GAP }}
          >
            {images.slice(index * columns, (index + 1) * columns).map((file) => (
              <Thumb key={file.path} file={file} src={fileUrl(project, dataset, version, file.path)} side={Math.floor(side)} folder={folders} />
            ))}
          </div>
        ))}
      </div>
    </div>
  );
}

function Thumb({ file, src, side, folder }: { file: FileEntry; src: string; side: number; folder: boolean }) {
  const { t } = useTranslation("data");
  const [state, setState] = useState<"fine" | "broken" | "small">("fine");
  const name = file.path.split("/").slice(folder ? -2 : -1).join("/");
  const query = new URLSearchParams({ tab: "files", path: file.path });
  const version = new URLSearchParams(window.location.search).get("version");
  if (version) query.set("version", version);
  return (
    <Link to={`?${query.toString()}`} className={classes.thumb} title={file.path}>
      <span className={classes.picture} style={{ height: side }}>
        {file.size > MOST_BYTES ? (
          <span className={classes.soft}>{bytes(file.size)}</span>
        ) : state === "broken" ? (
          <span className={classes.soft}>{t("images.broken")}</span>
        ) : (
          <img
            src={src}
            alt={file.path}
            loading="lazy"
            decoding="async"
            data-small={state === "small" || undefined}
            onLoad={(event) => event.currentTarget.naturalWidth < side / 2 && setState("small")}
            onError={() => setState("broken")}
          />
        )}
      </span>
      <span className={classes.thumbName}>{name}</span>
    </Link>
  );
}
