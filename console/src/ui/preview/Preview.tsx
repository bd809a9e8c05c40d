/**
 * What a file looks like, of the server's preview (`runs.preview`, `data.preview`): nothing in it is executed.
 *
 * `bytes` is the address of the file itself (`runs.artifact`, `data.file`), for images, audio and the download.
 */
import { Button, Group } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import { ConfusionMatrix } from "@/ui/ConfusionMatrix";
import { bytes as size } from "@/ui/format";
import { Notice } from "@/ui/Notice";
import { Arrays } from "./Arrays";
import { ImageView } from "./ImageView";
import classes from "./Preview.module.css";
import { TableView } from "./TableView";

interface Props {
  preview: Schemas["Preview"];
  /** Where the file's bytes are; null for a folder. */
  bytes: string | null;
  /** Asked for other rows of a table, or items of a folder, from an offset on. */
  onPage?: ((offset: number) => void) | undefined;
  /** Asked for an item of a folder, by its path. */
  onOpen?: ((path: string) => void) | undefined;
}

export function Preview({ preview, bytes, onPage, onOpen }: Props) {
  const { t } = useTranslation("preview");
  const name = preview.path.split("/").at(-1) ?? "";
  const kind = t(`kinds.${preview.kind}`);
  const facts = [kind, preview.media_type, preview.size === null || preview.size === undefined ? "" : size(preview.size)];
  return (
    <section className={classes.preview} aria-label={t("title", { path: preview.path })}>
      <header className={classes.head}>
        <span className={classes.path}>{preview.path}</span>
        <span className={classes.facts}>{facts.filter(Boolean).join(" · ")}</span>
        {bytes !== null && preview.kind !== "folder" && (
          <Button
            component="a"
            href={bytes}
            download={name}
            variant="default"
            size="compact-xs"
            ml="auto"
            leftSection={<IconDownload size={14} aria-hidden />}
          >
            {t("common:download")}
          </Button>
        )}
      </header>
      {preview.message && (
        <div className={classes.message}>
          <Notice>
          {preview.message}
        </Notice>
        </div>
      )}
      <div className={classes.body}>
        <Content {...{ preview, bytes, onPage, onOpen }} name={name} />
      </div>
    </section>
  );
}

function Content({ preview, bytes, onPage, onOpen, name }: Props & { name: string }): ReactNode {
  const { t } = useTranslation("preview");
  if (preview.text) return <TextView text={preview.text} />;
  if (preview.table) return <TableView table={preview.table} label={preview.path} onPage={onPage} />;
  if (preview.confusion_matrix)
    return (
      <div className={classes.padded}>
        <ConfusionMatrix {...preview.confusion_matrix} label={preview.path} />
      </div>
    );
  if (preview.image) return <ImageView image={preview.image} src={bytes} name={name} />;
  if (preview.audio) return <AudioView audio={preview.audio} src={bytes} name={name} />;
  if (preview.arrays) return <Arrays arrays={preview.arrays} />;
  if (preview.model) return <ModelView model={preview.model} />;
  if (preview.folder) return <FolderView {...{ folder: preview.folder, path: preview.path, onOpen, onPage }} />;
  return <p className={classes.note}>{t("binary")}</p>;
}

function TextView({ text }: { text: Schemas["TextPreview"] }) {
  const { t } = useTranslation("preview");
  const lines = text.lines === null || text.lines === undefined ? "" : t("text.lines", { count: text.lines });
  return (
    <>
      {/* A region that scrolls has to be reachable by keys. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre className={classes.text} tabIndex={0}>
        {text.text}
      </pre>
      <p className={classes.note}>
        {[text.encoding, lines, text.truncated ? t("text.truncated") : ""].filter(Boolean).join(" · ")}
      </p>
    </>
  );
}

function AudioView({ audio, src, name }: { audio: Schemas["AudioPreview"]; src: string | null; name: string }) {
  const { t } = useTranslation("preview");
  const facts = [
    audio.format.toUpperCase(),
    audio.seconds ? t("audio.seconds", { seconds: audio.seconds.toFixed(2) }) : "",
    audio.rate ? t("audio.rate", { rate: audio.rate }) : "",
    audio.channels ? t("audio.channels", { count: audio.channels }) : "",
  ];
  return (
    <div className={classes.media}>
      {audio.shown && src ? (
        // What a job or a dataset has of sound has no captions.
        // eslint-disable-next-line jsx-a11y/media-has-caption
        <audio controls preload="none" src={src} aria-label={name} className={classes.audio} />
      ) : (
        <p className={classes.note}>{t("audio.notPlayed")}</p>
      )}
      <p className={classes.note}>{facts.filter(Boolean).join(" · ")}</p>
    </div>
  );
}

function ModelView({ model }: { model: Schemas["ModelPreview"] }) {
  const { t } = useTranslation("preview");
  return (
    <dl className={classes.list}>
      <dt>{t("model.framework")}</dt>
      <dd>{model.framework}</dd>
      <dt>{t("model.format")}</dt>
      <dd>{model.format}</dd>
      {Object.entries(model.facts ?? {}).map(([key, value]) => (
        <Group key={key} display="contents">
          <dt>{key}</dt>
          <dd>{value}</dd>
        </Group>
      ))}
    </dl>
  );
}

interface FolderProps {
  folder: Schemas["FolderPreview"];
  path: string;
  onOpen?: ((path: string) => void) | undefined;
  onPage?: ((offset: number) => void) | undefined;
}

function FolderView({ folder, path, onOpen }: FolderProps) {
  const { t } = useTranslation("preview");
  const rest = folder.total - folder.items.length;
  return (
    <>
      <ul className={classes.folder}>
        {folder.items.map((item) => (
          <li key={item.name}>
            {onOpen ? (
              <button type="button" className={classes.open} onClick={() => onOpen(path ? `${path}/${item.name}` : item.name)}>
                {item.folder ? `${item.name}/` : item.name}
              </button>
            ) : (
              <span>{item.folder ? `${item.name}/` : item.name}</span>
            )}
            {!item.folder && <span className={classes.soft}>{size(item.size)}</span>}
          </li>
        ))}
      </ul>
      {rest > 0 && <p className={classes.note}>{t("folder.more", { count: rest })}</p>}
    </>
  );
}
