/** Make a dataset, or a dataset's next version, of files from this computer. */
import { Button, Group, Textarea, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { FileTree } from "@/ui/FileTree";
import { bytes } from "@/ui/format";
import { Notice } from "@/ui/Notice";
import { Page } from "@/ui/Page";
import { useUrlState } from "@/ui/useUrlState";
import classes from "./data.module.css";
import { listQuery } from "./dataset";
import { DropZone } from "./upload/DropZone";
import { type Gathering, isName, nameFrom } from "./upload/gather";
import { UploadProgress } from "./upload/UploadProgress";
import { interrupted, startUpload, useUpload } from "./upload/uploads";

export default function NewDataPage() {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const upload = useUpload();
  const [asked] = useUrlState("name");
  const crumbs = [{ label: t("title"), to: `/p/${project}/data` }];
  if (asked) crumbs.push({ label: asked, to: `/p/${project}/data/${asked}` });
  const title = asked ? t("new.titleOf", { name: asked }) : t("new.title");
  return (
    <Page title={title} crumbs={crumbs}>
      {!mayEdit ? (
        <Failure error={new Error(t("new.viewer"))} />
      ) : upload ? (
        <UploadProgress upload={upload} />
      ) : (
        <Form key={asked} asked={asked} />
      )}
    </Page>
  );
}

function Form({ asked }: { asked: string }) {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const [before] = useState(() => interrupted(project));
  const cutOff = before && (!asked || before.name === asked) ? before : null;
  const [found, setFound] = useState<Gathering | null>(null);
  const [typed, setTyped] = useState<string | null>(null);
  const [note, setNote] = useState(cutOff?.note ?? "");
  const [chosen, setChosen] = useState<string | null>(null);
  const name = typed ?? (asked || cutOff?.name || (found ? nameFrom(found.label) : ""));
  const there = useQuery(listQuery(project)).data?.items.find((one) => one.name === name);
  const size = found?.entries.reduce((sum, one) => sum + one.file.size, 0) ?? 0;
  const next = there ? (there.versions?.at(-1) ?? 0) + 1 : 1;
  const ready = found !== null && found.entries.length > 0;
  const start = () => {
    if (!ready) return;
    if (!isName(name)) return document.getElementById("dataset-name")?.focus();
    const entries = found.entries.map(({ path, file }) => ({ path, blob: file }));
    startUpload({ project, name, note, entries, label: found.label });
  };
  return (
    <form
      className={classes.form}
      onSubmit={(event) => {
        event.preventDefault();
        start();
      }}
    >
      {cutOff && !found && (
        <Notice kind="warn" title={t("new.cutOffTitle", { name: cutOff.name })}>
          {t("new.cutOff", { label: cutOff.label || cutOff.name, count: cutOff.files, size: bytes(cutOff.size) })}
        </Notice>
      )}
      <DropZone onFound={setFound} found={found} />
      {found && found.entries.length > 0 && (
        <FileTree
          files={found.entries.map(({ path, file }) => ({ path, size: file.size }))}
          selected={chosen}
          onSelect={setChosen}
          label={t("new.chosen")}
          height={280}
        />
      )}
      <TextInput
        id="dataset-name"
        label={t("common:name")}
        description={there ? t("new.nextVersion", { name, number: next }) : t("new.nameHelp")}
        value={name}
        onChange={(event) => setTyped(event.currentTarget.value)}
        error={name && !isName(name) ? t("new.nameWrong") : null}
        placeholder="digits"
        maw={420}
        required
        autoComplete="off"
        spellCheck={false}
      />
      <Textarea
        label={t("note")}
        description={t("common:optional")}
        value={note}
        onChange={(event) => setNote(event.currentTarget.value)}
        placeholder={t("new.notePlaceholder")}
        maxLength={4096}
        autosize
        minRows={2}
        maw={640}
      />
      <Group gap="md">
        <Button type="submit" size="sm" disabled={!ready}>
          {found ? t("new.start", { count: found.entries.length, size: bytes(size) }) : t("upload")}
        </Button>
        <Cli words={["nacre", "data", "push", found?.label ? `./${found.label}` : "./digits", "--name", isName(name) ? name : "digits"]} />
      </Group>
      <p className={classes.soft}>{t("new.how")}</p>
    </form>
  );
}
