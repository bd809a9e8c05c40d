/** The form and its YAML side by side; either changes the other. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useDebouncedValue } from "@mantine/hooks";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { api, ask, Problem, type Schemas } from "@/api/client";
import { pushFolder } from "@/api/blobs";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { CodeEditor } from "@/ui/CodeEditor";
import { tell, tellError } from "@/ui/notify";
import { CodePanel } from "./CodePanel";
import { type CodeFile, sizeOf, toPush } from "./codeFiles";
import { Draft, fieldErrors, fieldOf, type Path } from "./draft";
import classes from "./form.module.css";
import { JobForm } from "./JobForm";
import { keepDraft, keptDraft } from "./kept";
import type { Beginning } from "./NewJobPage";
import { PlanCard } from "./PlanCard";
import { runLine } from "./runLine";
import { DraftContext } from "./useDraft";

type Spec = Schemas["JobSpec"];

/** What a submission would do, asked a moment after the last change. */
function usePlan(project: string, draft: Draft) {
  // Without a command there is nothing to plan, and nothing wrong yet either.
  const commands = draft.get("commands");
  const wanted = commands && (!Array.isArray(commands) || commands.length) ? JSON.stringify(draft.value) : "";
  const [settled] = useDebouncedValue(wanted, 400);
  const plan = useQuery({
    queryKey: ["jobs-plan", project, settled],
    queryFn: () => ask(api.POST("/api/v1/projects/{project}/jobs/plan", { params: { path: { project } }, body: JSON.parse(settled) as Spec })),
    enabled: settled !== "",
    retry: false,
    staleTime: 10_000,
    refetchInterval: 15_000,
    placeholderData: keepPreviousData,
  });
  return { ...plan, settling: wanted !== settled || plan.isFetching, asked: settled !== "" };
}

export function JobEditor({ yaml, start }: { yaml: typeof import("yaml"); start: Beginning }) {
  const { t } = useTranslation("jobs");
  const { name: project } = useProject();
  const navigate = useNavigate();
  const [begun] = useState(() => keptDraft() ?? start);
  const [text, setText] = useState(begun.text);
  const [files, setFiles] = useState<CodeFile[]>(begun.files);
  const [kept] = useDebouncedValue(useMemo(() => ({ text, files }), [text, files]), 300);
  useEffect(() => keepDraft(kept.text === start.text && kept.files === start.files ? null : kept), [kept, start]);
  const [sending, setSending] = useState<string | null>(null);
  const [refused, setRefused] = useState<{ text: string; problem: Problem } | null>(null);
  const draft = useMemo(() => new Draft(yaml, text, t("form.notMapping")), [yaml, text, t]);
  // While the YAML cannot be read, the form shows what it said last, and waits.
  const [readable, setReadable] = useState(draft);
  if (draft.value && readable !== draft) setReadable(draft);
  const plan = usePlan(project, draft);

  const planned = plan.error instanceof Problem && plan.asked ? plan.error : null;
  const problem = refused && refused.text === text ? refused.problem : planned;
  const errors = useMemo(() => (problem ? fieldErrors(problem) : []), [problem]);
  const formErrors = useMemo(() => {
    const found = errors.map((one) => ({ ...one, field: fieldOf(one.field) }));
    // That a name is taken is said of no field; there is one.
    return problem?.status === 409 && !found.length && draft.string("name") ? [{ field: "name", message: problem.message }] : found;
  }, [errors, problem, draft]);
  const lineErrors = draft.errors.length ? draft.errors : errors.map((one) => ({ line: draft.lineOf(one.field), message: one.field ? `${one.field}: ${one.message}` : one.message }));
  // In the same breath as another field's change, the text is the newest one.
  const set = (path: Path, value: unknown) => setText((before) => new Draft(yaml, before, "").with(path, value));

  const submit = async () => {
    if (!draft.value) return;
    try {
      const body = { ...draft.value };
      if (!body.code && files.length) {
        const total = files.reduce((sum, file) => sum + sizeOf(file), 0);
        let sent = 0;
        setSending(t("form.sendingCode"));
        const pushed = await pushFolder(project, files.map(toPush), {
          sent: (bytes) => {
            sent += bytes;
            setSending(t("form.sendingPercent", { percent: Math.min(100, Math.round((100 * sent) / Math.max(1, total))) }));
          },
        });
        body.code = pushed.manifest;
      }
      setSending(t("form.submitting"));
      const job = await ask(api.POST("/api/v1/projects/{project}/jobs", { params: { path: { project } }, body: body as unknown as Spec }));
      keepDraft(null);
      tell(t("form.submitted", { name: job.name }));
      await navigate(`/p/${project}/jobs/${encodeURIComponent(job.name)}`);
    } catch (error) {
      if (error instanceof Problem && error.status >= 400 && error.status < 500) setRefused({ text, problem: error });
      else tellError(error);
    } finally {
      setSending(null);
    }
  };

  return (
    <DraftContext.Provider value={{ draft: draft.value ? draft : readable, set, errors: formErrors }}>
      <div className={classes.columns}>
        <form
          id="job"
          className={classes.form}
          aria-label={t("form.title")}
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          <fieldset className={classes.fields} disabled={!draft.value}>
            <CodePanel files={files} onFiles={setFiles} />
            <JobForm />
          </fieldset>
        </form>
        <aside className={classes.side} aria-label={t("form.side")}>
          <PlanCard plan={draft.value ? (plan.data ?? null) : null} problem={draft.value ? problem : null} settling={plan.settling} asked={plan.asked && draft.value !== null} unread={draft.errors[0] ?? null} sending={sending} />
          <CodeEditor label={t("form.yaml")} value={text} onChange={setText} language="yaml" height={420} errors={lineErrors} />
          <p className="n-soft">{t("form.yamlNote")}</p>
          <p className="n-soft">{t("form.commandLine")}</p>
          <Cli words={runLine(draft.value ? draft : readable, fieldOf)} wrap />
        </aside>
      </div>
    </DraftContext.Provider>
  );
}
