/** A new environment: from requirements, from a project, or from a lock. */
import { Alert, Button, FileButton, Group, SegmentedControl, Select, TextInput } from "@mantine/core";
import { IconAlertTriangle, IconFileUpload } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type DragEvent, type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate, useSearchParams } from "react-router";
import { api, ask, Problem } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { CodeEditor } from "@/ui/CodeEditor";
import { Loading } from "@/ui/Loading";
import { tellError } from "@/ui/notify";
import { Page } from "@/ui/Page";
import { bodyOf, type Draft, isName, type Source, SOURCES, sourceOf, wordsOf, wrongLines } from "./draft";
import { type Environment, environmentKey, getEnvironment, listKey } from "./environment";
import classes from "./environments.module.css";

const PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"];
const MOST_BYTES = 8 * 2 ** 20;
const EXAMPLE = "torch>=2.4\ntorchvision\nscikit-learn\nipykernel\n";

export default function NewEnvironmentPage() {
  const { t } = useTranslation("environments");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const from = useSearchParams()[0].get("from");
  const source = useQuery({ queryKey: environmentKey(project, from ?? ""), queryFn: () => getEnvironment(project, from!), enabled: from !== null });
  return (
    <Page title={t("create.title")} crumbs={[{ label: t("title"), to: `/p/${project}/environments` }]}>
      {!mayEdit ? (
        <p className="n-soft">{t("create.notYours")}</p>
      ) : from !== null && source.isPending ? (
        <Loading />
      ) : (
        <Form key={from} start={draftFrom(source.data)} />
      )}
    </Page>
  );
}

/** An empty one, or one like another: with its requirements, or with its lock where it was made from a file. */
function draftFrom(source: Environment | undefined): Draft {
  const lines = source?.requirements ?? [];
  const byLock = source !== undefined && !lines.length && Boolean(source.lock);
  return {
    name: source ? `${source.name.slice(0, 60)}-2` : "",
    source: byLock ? "lock" : "requirements",
    text: { requirements: lines.length ? `${lines.join("\n")}\n` : byLock ? "" : EXAMPLE, pyproject: "", lock: byLock ? source.lock! : "" },
    python: source?.python ?? "",
  };
}

function Form({ start }: { start: Draft }) {
  const { t } = useTranslation("environments");
  const { name: project } = useProject();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [draft, setDraft] = useState(start);
  const [busy, setBusy] = useState(false);
  const [tried, setTried] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const put = (change: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...change }));
    setProblem(null);
  };
  const taken = problem instanceof Problem && problem.status === 409;
  const write = (source: Source, text: string) => setDraft((before) => ({ ...before, source, text: { ...before.text, [source]: text } }));
  const text = draft.text[draft.source];
  const errors = draft.source === "requirements" ? wrongLines(text).map(({ line, kind }) => ({ line, message: t(`create.wrong.${kind}`) })) : [];
  const badName = draft.name ? !isName(draft.name) : tried;
  const take = (file: File | null | undefined) => {
    if (!file) return;
    if (file.size > MOST_BYTES) return tellError(new Error(t("create.tooBig")));
    void file.text().then((said) => write(sourceOf(file.name, said), said), tellError);
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!isName(draft.name) || !text.trim()) return;
    setBusy(true);
    setProblem(null);
    try {
      const made = await ask(api.POST("/api/v1/projects/{project}/environments", { params: { path: { project } }, body: bodyOf(draft) }));
      client.setQueryData(environmentKey(project, made.name), made);
      void client.invalidateQueries({ queryKey: listKey(project) });
      await navigate(`/p/${project}/environments/${encodeURIComponent(made.name)}?tab=log`);
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return (
    <form className={classes.form} onSubmit={(event) => void submit(event)} noValidate>
      <div className={classes.two}>
        <TextInput
          label={t("common:name")}
          value={draft.name}
          onChange={(event) => put({ name: event.currentTarget.value })}
          error={badName ? (draft.name ? t("create.badName") : t("create.noName")) : taken}
          placeholder="mine"
          autoComplete="off"
          spellCheck={false}
          withAsterisk
          data-autofocus
        />
        <Select
          label="Python"
          data={[{ value: "", label: t("create.anyPython") }, ...new Set([...PYTHONS, ...(draft.python ? [draft.python] : [])])]}
          value={draft.python}
          onChange={(python) => put({ python: python ?? "" })}
          allowDeselect={false}
        />
      </div>
      <Group gap="sm" wrap="wrap">
        <SegmentedControl
          aria-label={t("create.source")}
          value={draft.source}
          onChange={(value) => put({ source: value as Source })}
          data={SOURCES.map((value) => ({ value, label: t(`create.sources.${value}`) }))}
        />
        <FileButton onChange={take} accept=".txt,.toml,.lock,.in,text/plain">
          {(props) => (
            <Button {...props} variant="default" leftSection={<IconFileUpload size={14} />}>
              {t("create.file")}
            </Button>
          )}
        </FileButton>
      </Group>
      {/* Files may be dropped anywhere on the text; the button does the same for everybody else. */}
      <div
        onDragOverCapture={(event: DragEvent) => event.dataTransfer.types.includes("Files") && event.preventDefault()}
        onDropCapture={(event: DragEvent) => {
          if (!event.dataTransfer.files.length) return;
          event.preventDefault();
          event.stopPropagation();
          take(event.dataTransfer.files[0]);
        }}
      >
        <CodeEditor key={draft.source} label={t(`create.labels.${draft.source}`)} value={text} onChange={(next) => write(draft.source, next)} height={320} errors={errors} />
      </div>
      <p className="n-soft">{t(`create.notes.${draft.source}`)}</p>
      {tried && !text.trim() && (
        <p className={classes.error} role="alert">
          {t("create.empty")}
        </p>
      )}
      {problem !== null && (
        <Alert color="red" variant="outline" icon={<IconAlertTriangle size={16} />} role="alert">
          <pre className={classes.message}>{problem instanceof Error ? problem.message : String(problem)}</pre>
        </Alert>
      )}
      <Group gap="md" wrap="wrap">
        <Button type="submit" size="sm" loading={busy}>
          {t("create.submit")}
        </Button>
        <Cli words={wordsOf(draft)} />
      </Group>
    </form>
  );
}
