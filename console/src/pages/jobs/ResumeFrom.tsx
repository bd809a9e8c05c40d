/** The job whose checkpoints this one begins with. */
import { Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { useProject } from "@/app/project";
import { hasEnded } from "./job";
import { BELOW, useDraft } from "./useDraft";

export function ResumeFrom() {
  const { t } = useTranslation("jobs");
  const { t: states } = useTranslation("status");
  const { name: project } = useProject();
  const { draft, set, error } = useDraft();
  const jobs = useQuery({
    queryKey: ["jobs", project, "choices"],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/jobs", { params: { path: { project }, query: { limit: 200 } } })),
  });
  const value = draft.string("resume_from");
  const ended = (jobs.data?.items ?? []).filter((job) => hasEnded(job) && job.kind === "task");
  const data = ended.map((job) => ({ value: job.name, label: t("form.resumeOption", { name: job.name, state: states(job.state) }) }));
  if (value && !data.some((one) => one.value === value)) data.unshift({ value, label: value });
  return (
    <Select
      label={t("fields.resume_from")}
      description={t("form.resumeNote")}
      inputWrapperOrder={BELOW}
      data={data}
      value={value || null}
      onChange={(next) => set(["resume_from"], next)}
      placeholder={t("form.resumeNone")}
      clearable
      clearButtonProps={{ "aria-label": t("form.resumeNone") }}
      searchable
      error={error("resume_from")}
    />
  );
}
