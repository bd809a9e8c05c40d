/** The code that goes along: written here, dropped, uploaded, begun from a starter, or that of an earlier job. */
import { ActionIcon, Button, FileButton, Group, Menu, TextInput } from "@mantine/core";
import { IconFilePlus, IconFolderUp, IconSparkles, IconTrash, IconUpload } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type DragEvent, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { pathsFault } from "@/api/manifest";
import { useProject } from "@/app/project";
import { CodeEditor } from "@/ui/CodeEditor";
import { FileTree } from "@/ui/FileTree";
import { bytes } from "@/ui/format";
import { tell, tellError } from "@/ui/notify";
import classes from "./code.module.css";
import { type CodeFile, filesOf, fromDrop, fromInput, languageOf, MAX_BYTES, MAX_FILES, sizeOf } from "./codeFiles";
import { Section } from "./JobForm";
import { useDraft } from "./useDraft";

interface Props {
  files: CodeFile[];
  onFiles: (files: CodeFile[]) => void;
}

export function CodePanel({ files, onFiles }: Props) {
  const { t } = useTranslation("jobs");
  const { draft, set, error } = useDraft();
  const { name: project } = useProject();
  const code = draft.string("code");
  const [busy, setBusy] = useState(false);
  const edit = async () => {
    setBusy(true);
    try {
      onFiles(await filesOf(project, code));
      set(["code"], null);
    } catch (failed) {
      tellError(failed);
    } finally {
      setBusy(false);
    }
  };
  if (code) {
    return (
      <Section title={t("code.title")} note={t("code.reused")}>
        <code className="n-mono" style={{ overflowWrap: "anywhere" }}>
          {code}
        </code>
        {error("code") && <p style={{ color: "var(--n-bad)" }}>{error("code")}</p>}
        <Group gap="sm">
          <Button variant="default" onClick={() => void edit()} loading={busy}>
            {t("code.editCopy")}
          </Button>
          <Button variant="default" onClick={() => set(["code"], null)}>
            {t("code.other")}
          </Button>
        </Group>
      </Section>
    );
  }
  return (
    <Section title={t("code.title")} note={t("code.note")}>
      <Files files={files} onFiles={onFiles} />
    </Section>
  );
}

function Files({ files, onFiles }: Props) {
  const { t } = useTranslation("jobs");
  const { draft, set } = useDraft();
  const [chosen, setChosen] = useState<string | null>(files[0]?.path ?? null);
  const [over, setOver] = useState(false);
  const folder = useRef<HTMLInputElement>(null);
  const file = files.find((one) => one.path === chosen) ?? files[0] ?? null;

  const add = (more: CodeFile[]) => {
    if (!more.length) return;
    const paths = new Set(more.map((one) => one.path));
    const all = [...files.filter((one) => !paths.has(one.path)), ...more].sort((a, b) => (a.path < b.path ? -1 : 1));
    const fault = pathsFault(all.map((one) => one.path));
    if (fault) return tellError(new Error(t("code.badPath", { path: fault.path })));
    const size = all.reduce((sum, one) => sum + sizeOf(one), 0);
    if (all.length > MAX_FILES) return tellError(new Error(t("code.tooMany", { count: all.length })));
    if (size > MAX_BYTES) {
      const largest = [...all].sort((a, b) => sizeOf(b) - sizeOf(a)).slice(0, 3);
      return tellError(new Error(t("code.tooLarge", { size: bytes(size), limit: bytes(MAX_BYTES), files: largest.map((one) => one.path).join(", ") })));
    }
    onFiles(all);
    const first = more.find((one) => /(^|\/)(train|main)\.py$/.test(one.path)) ?? more.find((one) => one.path.endsWith(".py")) ?? more[0]!;
    setChosen(first.path);
    if (!draft.get("commands") && first.path.endsWith(".py")) set(["commands"], [`python ${first.path}`]);
    if (more.length > 1) tell(t("code.added", { count: more.length }));
  };
  const take = (reading: Promise<CodeFile[]>) => void reading.then(add, tellError);
  const starter = async (name: string) => {
    const { STARTERS } = await import("@/pages/welcome/starters");
    const found = STARTERS.find((one) => one.name === name)!;
    set(["environment"], found.environment);
    for (const [input, dataset] of Object.entries(found.inputs)) if (dataset && !found.inputsOptional) set(["inputs", input], dataset);
    add([{ path: found.file, text: found.code, data: null, executable: false }]);
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    take(fromDrop(event.dataTransfer.items));
  };
  const put = (change: Partial<CodeFile>) => onFiles(files.map((one) => (one === file ? { ...one, ...change } : one)));
  return (
    // Dropping is a shortcut of the two upload buttons.
    <div
      className={classes.drop}
      data-over={over || undefined}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <Group gap="sm" mb={8}>
        <Button variant="default" leftSection={<IconFilePlus size={14} />} onClick={() => add([{ path: freeName(files), text: "", data: null, executable: false }])}>
          {t("code.new")}
        </Button>
        <FileButton multiple onChange={(given) => take(fromInput(given))}>
          {(props) => (
            <Button {...props} variant="default" leftSection={<IconUpload size={14} />}>
              {t("code.upload")}
            </Button>
          )}
        </FileButton>
        <Button variant="default" leftSection={<IconFolderUp size={14} />} onClick={() => folder.current?.click()}>
          {t("code.folder")}
        </Button>
        <input
          ref={folder}
          type="file"
          hidden
          aria-label={t("code.folder")}
          {...{ webkitdirectory: "" }}
          onChange={(event) => {
            take(fromInput(event.currentTarget.files ?? []));
            event.currentTarget.value = "";
          }}
        />
        <Starters pick={(name) => void starter(name)} />
      </Group>
      {file ? (
        <div className={files.length > 1 ? classes.panes : undefined}>
          {files.length > 1 && (
            <FileTree files={files.map((one) => ({ path: one.path, size: sizeOf(one) }))} selected={file.path} onSelect={setChosen} label={t("code.files")} height={400} />
          )}
          <div className={classes.pane}>
            <Group gap="xs" wrap="nowrap" mb={8} align="flex-end">
              <Rename key={file.path} file={file} others={files.filter((one) => one !== file).map((one) => one.path)} rename={(path) => { put({ path }); setChosen(path); }} />
              <ActionIcon aria-label={t("code.remove", { name: file.path })} onClick={() => onFiles(files.filter((one) => one !== file))} mb={2}>
                <IconTrash size={14} />
              </ActionIcon>
            </Group>
            {file.text === null ? (
              <p className="n-soft">{t("code.kept", { size: bytes(sizeOf(file)) })}</p>
            ) : (
              <CodeEditor key={file.path} label={t("code.textOf", { name: file.path })} bare value={file.text} onChange={(text) => put({ text })} language={languageOf(file.path)} height={340} />
            )}
          </div>
        </div>
      ) : (
        <p className={classes.empty}>{t("code.empty")}</p>
      )}
    </div>
  );
}

/** The name is taken over when the field is left, or with Enter, so that half a name never is one. */
function Rename({ file, others, rename }: { file: CodeFile; others: string[]; rename: (path: string) => void }) {
  const { t } = useTranslation("jobs");
  const [path, setPath] = useState(file.path);
  const bad = pathsFault([...others, path]) !== null;
  const take = () => {
    if (!bad && path !== file.path) rename(path);
    else if (bad) setPath(file.path);
  };
  return (
    <TextInput
      label={t("code.path")}
      value={path}
      onChange={(event) => setPath(event.currentTarget.value)}
      onBlur={take}
      onKeyDown={(event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        take();
      }}
      error={bad ? t("code.badPath", { path }) : undefined}
      style={{ flex: 1 }}
      classNames={{ input: "n-mono" }}
    />
  );
}

function freeName(files: CodeFile[]): string {
  const known = new Set(files.map((one) => one.path));
  if (!known.has("train.py")) return "train.py";
  let number = 1;
  while (known.has(`file${number}.py`)) number += 1;
  return `file${number}.py`;
}

function Starters({ pick }: { pick: (name: string) => void }) {
  const { t } = useTranslation(["jobs", "welcome"]);
  const starters = useQuery({ queryKey: ["starters"], queryFn: async () => (await import("@/pages/welcome/starters")).STARTERS, staleTime: Number.POSITIVE_INFINITY });
  if (!starters.data?.length) return null;
  return (
    <Menu position="bottom-start">
      <Menu.Target>
        <Button variant="default" leftSection={<IconSparkles size={14} />}>
          {t("jobs:code.starter")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {starters.data.map((one) => (
          <Menu.Item key={one.name} onClick={() => pick(one.name)}>
            {t(one.title as never, { defaultValue: one.name }) as string}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
