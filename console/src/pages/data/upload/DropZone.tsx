/** Where folders and files are dropped, with buttons that do the same. */
import { Button, Group } from "@mantine/core";
import { IconFile, IconFolder, IconUpload, IconX } from "@tabler/icons-react";
import { type DragEvent, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { bytes } from "@/ui/format";
import { tellError } from "@/ui/notify";
import classes from "./upload.module.css";
import { type Gathering, ofDrop, ofInput } from "./gather";

interface Props {
  found: Gathering | null;
  onFound: (found: Gathering | null) => void;
}

export function DropZone({ found, onFound }: Props) {
  const { t } = useTranslation("data");
  const [over, setOver] = useState(false);
  const [walking, setWalking] = useState<number | null>(null);
  const folders = useRef<HTMLInputElement>(null);
  const files = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // A drop beside the zone would have the browser leave the page for the file.
    const stop = (event: Event) => event.preventDefault();
    window.addEventListener("dragover", stop);
    window.addEventListener("drop", stop);
    return () => {
      window.removeEventListener("dragover", stop);
      window.removeEventListener("drop", stop);
    };
  }, []);
  const drop = async (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    setWalking(0);
    try {
      onFound(await ofDrop(event.dataTransfer, setWalking));
    } catch (error) {
      tellError(error);
    } finally {
      setWalking(null);
    }
  };
  const chosen = (input: HTMLInputElement) => {
    if (input.files?.length) onFound(ofInput(input.files));
    input.value = "";
  };
  const size = found?.entries.reduce((sum, one) => sum + one.file.size, 0) ?? 0;
  return (
    <div
      role="group"
      aria-label={t("new.drop")}
      className={classes.zone}
      data-over={over || undefined}
      onDragOver={(event) => {
        event.preventDefault();
        event.dataTransfer.dropEffect = "copy";
        setOver(true);
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false);
      }}
      onDrop={(event) => void drop(event)}
    >
      <IconUpload size={20} aria-hidden />
      <p aria-live="polite">
        {walking !== null
          ? t("new.walking", { count: walking })
          : found
            ? t("new.found", { count: found.entries.length, size: bytes(size) })
            : t("new.drop")}
      </p>
      {found && found.skipped > 0 && <p className={classes.soft}>{t("new.skipped", { count: found.skipped })}</p>}
      <Group gap="sm" justify="center">
        <Button variant="default" leftSection={<IconFolder size={14} aria-hidden />} onClick={() => folders.current?.click()}>
          {t("new.chooseFolder")}
        </Button>
        <Button variant="default" leftSection={<IconFile size={14} aria-hidden />} onClick={() => files.current?.click()}>
          {t("new.chooseFiles")}
        </Button>
        {found && (
          <Button variant="subtle" color="gray" leftSection={<IconX size={14} aria-hidden />} onClick={() => onFound(null)}>
            {t("new.clear")}
          </Button>
        )}
      </Group>
      <input
        ref={folders}
        type="file"
        className="n-hidden"
        tabIndex={-1}
        aria-label={t("new.chooseFolder")}
        multiple
        {...{ webkitdirectory: "" }}
        onChange={(event) => chosen(event.currentTarget)}
      />
      <input
        ref={files}
        type="file"
        className="n-hidden"
        tabIndex={-1}
        aria-label={t("new.chooseFiles")}
        multiple
        onChange={(event) => chosen(event.currentTarget)}
      />
    </div>
  );
}
