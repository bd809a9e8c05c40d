/** With one's own data: every step leads to the page that does it, filled in as far as it is known. */
import { Anchor } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { inProject } from "@/app/pages";
import { useUser } from "@/app/session";
import { shell } from "@/ui/Cli";
import { Fact, Go, type StepsProps } from "./DigitsSteps";
import { belonging, OPTIONAL, type StepName, STEPS } from "./progress";
import { StepRow } from "./StepRow";

export function OwnSteps({ project, role, lists, states, next }: StepsProps) {
  const { t } = useTranslation("welcome");
  const user = useUser();
  const may = role === "owner" || role === "editor";
  const at = (path: string) => inProject(project, path);
  const { jobs } = belonging(lists, "own");
  const job = jobs.find(({ state }) => state === "succeeded") ?? jobs[0];
  const instance = lists.instances[0];
  const environment = lists.environments.find(({ state }) => state === "ready");
  const dataset = lists.data[0];
  const data = dataset?.latest ? `${dataset.name}@${dataset.latest.number}` : undefined;
  const input = data ? `&input=${encodeURIComponent(data)}` : "";
  const model = lists.models.find(({ latest }) => latest?.evaluations?.some((one) => one.state === "succeeded")) ?? lists.models[0];
  const version = model?.latest;
  const endpoint = lists.endpoints[0];
  const primary = (step: StepName) => next === step;

  const rows: Record<StepName, { facts?: ReactNode; actions?: ReactNode; cli?: string }> = {
    account: {
      facts: <span>{t("digits.account", { user: user.name, project })}</span>,
      actions: role === "owner" && <Go to={at("/settings?tab=members")}>{t("act.members")}</Go>,
      cli: "nacre project add-member NAME --role editor",
    },
    instance: {
      facts: instance && <Fact to={at(`/instances/${instance.name}`)} name={instance.name} state={instance.state} />,
      actions: may && !instance && <Go to={at("/instances/new")}>{t("act.instance")}</Go>,
      cli: "nacre instance create lab --type cpu.small --env pytorch",
    },
    environment: {
      facts: environment && <Fact to={at(`/environments/${environment.name}`)} name={environment.name} state={environment.state} />,
      actions: (
        <>
          <Go to={at("/environments")}>{t("act.environments")}</Go>
          {may && <Go to={at("/environments/new")}>{t("act.newEnvironment")}</Go>}
        </>
      ),
      cli: "nacre env create mine --requirements requirements.txt",
    },
    data: {
      facts: dataset && (
        <Anchor size="sm" component={Link} to={at(`/data/${encodeURIComponent(dataset.name)}`)}>
          {data ?? dataset.name}
        </Anchor>
      ),
      actions: may && <Go to={at("/data/new")} primary={primary("data")}>{t("act.upload")}</Go>,
      cli: "nacre data push ./folder --name mine",
    },
    code: {
      actions: may && (
        <>
          <Go to={at(`/jobs/new?starter=table${input}`)} primary={primary("code")}>{t("starters.table.title")}</Go>
          <Go to={at(`/jobs/new?starter=images${input}`)}>{t("starters.images.title")}</Go>
          <Go to={at(`/jobs/new${input.replace("&", "?")}`)}>{t("act.ownCode")}</Go>
        </>
      ),
    },
    train: {
      facts: job && <Fact to={at(`/jobs/${job.name}`)} name={job.name} state={job.state} message={job.state === "succeeded" ? null : job.message} />,
      actions: may && !job && <Go to={at(`/jobs/new${input.replace("&", "?")}`)} primary={primary("train")}>{t("act.newJob")}</Go>,
      cli: `nacre run --environment pytorch ${data ? `--data ${shell(data)} ` : ""}train.py`,
    },
    evaluate: {
      facts: version && (
        <Anchor size="sm" component={Link} to={at(`/models/${encodeURIComponent(version.model)}?version=${version.number}`)}>
          {version.model}/{version.number}
        </Anchor>
      ),
      actions:
        may &&
        (version ? (
          <Go to={at(`/models/${encodeURIComponent(version.model)}?version=${version.number}&tab=evaluations`)} primary={primary("evaluate")}>
            {t("act.evaluateOwn")}
          </Go>
        ) : (
          job?.state === "succeeded" && (
            <Go to={at(`/runs/${job.run}?tab=artifacts`)} primary={primary("evaluate")}>
              {t("act.register")}
            </Go>
          )
        )),
      cli: `nacre model register ${job?.name ?? "train-1"}:model.joblib --name mine && nacre evaluate mine --data held-out`,
    },
    deploy: {
      facts: endpoint && <Fact to={at(`/endpoints/${endpoint.name}`)} name={endpoint.name} state={endpoint.state} />,
      actions: may && version && (
        <Go to={at(`/endpoints/new?model=${encodeURIComponent(version.model)}&version=${version.number}`)} primary={primary("deploy")}>
          {t("act.deployOwn")}
        </Go>
      ),
      cli: `nacre deploy ${shell(version?.model ?? "mine")} --name app`,
    },
  };
  return STEPS.map((name, i) => (
    <StepRow key={name} name={name} number={i + 1} state={states[name]} current={name === next} optional={OPTIONAL.has(name)} text={t(`steps.${name}.own`)} {...rows[name]} />
  ));
}
