/** The job as the file that would submit it again. */
import { Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Cli } from "@/ui/Cli";
import { CodeEditor } from "@/ui/CodeEditor";
import { CopyButtonText } from "./CopyButtonText";
import { again } from "./draft";
import type { Job } from "./job";

export default function JobYaml({ job }: { job: Job }) {
  const { t } = useTranslation("jobs");
  const yaml = useQuery({ queryKey: ["yaml"], queryFn: () => import("yaml"), staleTime: Number.POSITIVE_INFINITY });
  const text = yaml.data ? yaml.data.stringify({ name: job.name, ...again(job, false) }, { lineWidth: 0 }) : "";
  return (
    <Stack gap="sm">
      <p className="n-soft">{t("yaml.note")}</p>
      {text && <CodeEditor label={t("yaml.label")} bare value={text} language="yaml" readOnly />}
      <div>
        <CopyButtonText text={text} />
      </div>
      <Cli words={["nacre", "run", "-f", "job.yaml"]} />
    </Stack>
  );
}
