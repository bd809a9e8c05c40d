/** A new job: its code, a form, and the same as YAML; what it will cost and when it starts, before it does. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Page } from "@/ui/Page";
import type { CodeFile } from "./codeFiles";
import { again } from "./draft";
import { getJob } from "./job";
import { JobEditor } from "./JobEditor";

export interface Beginning {
  text: string;
  files: CodeFile[];
}

/** What the form begins with: an earlier job, a starter, a dataset to train on, or nothing. */
async function beginning(project: string, params: URLSearchParams, yaml: typeof import("yaml")): Promise<Beginning> {
  const like = params.get("like");
  const starter = params.get("starter");
  const input = params.get("input");
  if (like) {
    const job = await getJob(project, like);
    return { text: yaml.stringify(again(job, false), { lineWidth: 0 }), files: [] };
  }
  const fields: Record<string, unknown> = {};
  const files: CodeFile[] = [];
  if (starter) {
    const { STARTERS } = await import("@/pages/welcome/starters");
    const found = STARTERS.find((one) => one.name === starter);
    if (found) {
      fields.commands = [`python ${found.file}`];
      fields.environment = found.environment;
      const inputs = Object.entries(found.inputs).filter(([, dataset]) => dataset && !found.inputsOptional);
      if (inputs.length) fields.inputs = Object.fromEntries(inputs);
      files.push({ path: found.file, text: found.code, data: null, executable: false });
    }
  }
  const environment = params.get("environment");
  if (environment) fields.environment = environment;
  if (input) fields.inputs = { ...(fields.inputs as object | undefined), [input.split("@")[0]!]: input };
  return { text: Object.keys(fields).length ? yaml.stringify(fields, { lineWidth: 0 }) : "", files };
}

export default function NewJobPage() {
  const { t } = useTranslation("jobs");
  const { name: project } = useProject();
  const [params] = useSearchParams();
  // What it begins with is decided once; the address may change later (an open tab) without losing the draft.
  const [asked] = useState(() => params.toString());
  const yaml = useQuery({ queryKey: ["yaml"], queryFn: () => import("yaml"), staleTime: Number.POSITIVE_INFINITY });
  const start = useQuery({
    queryKey: ["job-beginning", project, asked],
    queryFn: () => beginning(project, new URLSearchParams(asked), yaml.data!),
    enabled: yaml.data !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  const like = params.get("like");
  return (
    <Page
      title={like ? t("form.titleLike", { name: like }) : t("form.title")}
      crumbs={[{ label: t("title"), to: `/p/${project}/jobs` }]}
      cli={<Cli words={like ? ["nacre", "run", "--like", like] : ["nacre", "run", "-f", "job.yaml"]} />}
    >
      {yaml.error || start.error ? (
        <Failure error={yaml.error ?? start.error} retry={() => void start.refetch()} />
      ) : !yaml.data || !start.data ? (
        <Loading />
      ) : (
        <JobEditor yaml={yaml.data} start={start.data} />
      )}
    </Page>
  );
}
