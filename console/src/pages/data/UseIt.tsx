/** How the version is used: in a job, in an instance, on a laptop, from Python. */
import { Button, SimpleGrid } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useMay, useProject } from "@/app/project";
import { Cli, CopyLine } from "@/ui/Cli";
import classes from "./data.module.css";

/** A name of the dataset as a variable's: `NACRE_INPUT_MY_DIGITS`. */
export function variableOf(dataset: string): string {
  return `NACRE_INPUT_${dataset.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_")}`;
}

export function UseIt({ dataset, version }: { dataset: string; version: number }) {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const ref = `${dataset}@${String(version)}`;
  const yaml = `inputs: {${dataset}: ${ref}}`;
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
      <Way title={t("use.job")} text={t("use.jobText")}>
        <Cli words={["nacre", "run", "--data", ref, "train.py"]} />
        <CopyLine text={yaml} />
        {mayEdit && (
          <Button
            component={Link}
            to={`/p/${project}/jobs/new?input=${encodeURIComponent(ref)}`}
            variant="default"
            leftSection={<IconPlayerPlay size={14} aria-hidden />}
          >
            {t("use.newJob")}
          </Button>
        )}
      </Way>
      <Way title={t("use.code")} text={t("use.codeText", { variable: variableOf(dataset) })}>
        <CopyLine text={`data = os.environ["${variableOf(dataset)}"]`} />
        <CopyLine text={"${{inputs." + dataset + "}}"} />
      </Way>
      <Way title={t("use.instance")} text={t("use.instanceText", { path: `/data/${dataset}` })}>
        <Cli words={["nacre", "instance", "create", "lab", "--type", "cpu.small", "--data", ref]} />
      </Way>
      <Way title={t("use.laptop")} text={t("use.laptopText")}>
        <Cli words={["nacre", "data", "pull", ref, "./here"]} />
        <CopyLine text={`nacre.Client().data.pull("${ref}", "here")`} />
      </Way>
    </SimpleGrid>
  );
}

function Way({ title, text, children }: { title: string; text: string; children: ReactNode }) {
  return (
    <section className={classes.way}>
      <h2>{title}</h2>
      <p>{text}</p>
      {children}
    </section>
  );
}
