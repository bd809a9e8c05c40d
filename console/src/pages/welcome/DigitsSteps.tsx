/** The ready-made path: every step is done here, with one click each. */
import { Anchor, Button, Loader } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { api, ask } from "@/api/client";
import { inProject } from "@/app/pages";
import { useUser } from "@/app/session";
import { number, price } from "@/ui/format";
import { tellError } from "@/ui/notify";
import { Status } from "@/ui/Status";
import { buildEnvironment, converted, deploy, digitsThings, ENDPOINT, ENVIRONMENT, evaluate, register, train, typeOf } from "./digits";
import { type Lists, OPTIONAL, type StepName, type StepState, STEPS } from "./progress";
import { makeSamples, SAMPLE } from "./sample/sample";
import { StepRow } from "./StepRow";
import classes from "./Welcome.module.css";

export interface StepsProps {
  project: string;
  role: string | null;
  lists: Lists;
  states: Record<StepName, StepState>;
  next: StepName | null;
}

export function DigitsSteps({ project, role, lists, states, next, again }: StepsProps & { again: () => void }) {
  const { t } = useTranslation("welcome");
  const user = useUser();
  const may = role === "owner" || role === "editor";
  const { environment, job, version, endpoint, hasData } = digitsThings(lists);
  const types = useQuery({ queryKey: ["instance-types"], queryFn: () => ask(api.GET("/api/v1/instance-types")), staleTime: 60_000 });
  const type = typeOf(types.data?.items ?? []);
  const done = { onSettled: again, onError: tellError };
  const build = useMutation({ mutationFn: () => buildEnvironment(project), ...done });
  const sample = useMutation({ mutationFn: () => makeSamples(project, t("sample.note")), ...done });
  const training = useMutation({ mutationFn: () => train(project, hasData), ...done });
  const measuring = useMutation({
    mutationFn: async () => {
      const ready = version && version.conversion !== "failed" ? await converted(project, version) : await register(project, job!.run);
      await evaluate(project, ready);
    },
    ...done,
  });
  const deploying = useMutation({ mutationFn: () => deploy(project, version!, type!.name), ...done });
  const evaluation = version?.evaluations?.find((one) => one.state === "succeeded") ?? version?.evaluations?.[0];

  const rows: Record<StepName, { facts?: ReactNode; actions?: ReactNode; cli?: string }> = {
    account: {
      facts: <span>{t("digits.account", { user: user.name, project })}</span>,
      actions: role === "owner" && <Go to={inProject(project, "/settings?tab=members")}>{t("act.members")}</Go>,
    },
    instance: {
      facts: lists.instances[0] && <Fact to={inProject(project, `/instances/${lists.instances[0].name}`)} name={lists.instances[0].name} state={lists.instances[0].state} lasting />,
      actions: may && !lists.instances.length && <Go to={inProject(project, `/instances/new?environment=${ENVIRONMENT}`)}>{t("act.instance")}</Go>,
      cli: `nacre instance create lab --type cpu.small --env ${ENVIRONMENT}`,
    },
    environment: {
      facts: environment && environment.state !== "pending" && <Fact to={inProject(project, `/environments/${ENVIRONMENT}`)} name={ENVIRONMENT} state={environment.state} message={environment.message} />,
      actions: may && (states.environment === "todo" || states.environment === "failed") && (
        <Button variant="default" onClick={() => build.mutate()} loading={build.isPending}>
          {t("act.build")}
        </Button>
      ),
      cli: `nacre env build ${ENVIRONMENT}`,
    },
    data: {
      facts: states.data === "done" && [SAMPLE.training, SAMPLE.held].map((name) => <Anchor key={name} size="sm" component={Link} to={inProject(project, `/data/${name}`)}>{name}</Anchor>),
      actions: may && states.data !== "done" && (
        <Button variant={next === "data" ? "filled" : "default"} onClick={() => sample.mutate()} loading={sample.isPending}>
          {t("act.sample")}
        </Button>
      ),
      cli: `nacre data push ./digits --name ${SAMPLE.training}`,
    },
    code: {
      actions: may && <Go to={inProject(project, `/jobs/new?starter=digits${hasData ? `&input=${SAMPLE.training}` : ""}`)}>{t("act.code")}</Go>,
    },
    train: {
      facts: job && <Fact to={inProject(project, `/jobs/${job.name}`)} name={job.name} state={job.state} message={job.state === "succeeded" ? null : job.message} />,
      actions: may && (states.train === "todo" || states.train === "failed") && (
        <Button variant={next === "train" || next === "code" ? "filled" : "default"} onClick={() => training.mutate()} loading={training.isPending} disabled={sample.isPending}>
          {states.train === "failed" ? t("act.trainAgain") : t("act.train")}
        </Button>
      ),
      cli: `nacre run --environment ${ENVIRONMENT} --data ${SAMPLE.training} train.py`,
    },
    evaluate: {
      facts: version && (
        <>
          <Anchor size="sm" component={Link} to={inProject(project, `/models/${version.model}?version=${version.number}`)}>
            {version.model}/{version.number}
          </Anchor>
          {evaluation?.state === "succeeded" ? (
            <span>{t("digits.measured", { accuracy: number(100 * (evaluation.accuracy ?? 0), 3), samples: evaluation.samples })}</span>
          ) : (
            <Status state={evaluation?.state ?? version.conversion} />
          )}
          {states.evaluate === "failed" && <span className={classes.message}>{evaluation?.message ?? version.message}</span>}
        </>
      ),
      actions: may && states.train === "done" && states.evaluate !== "done" && (states.evaluate !== "busy" || measuring.isPending) && (
        <Button variant={next === "evaluate" ? "filled" : "default"} onClick={() => measuring.mutate()} loading={measuring.isPending} disabled={states.data !== "done"}>
          {t("act.evaluate")}
        </Button>
      ),
      cli: `nacre model register ${job?.name ?? "train-1"}:model.joblib --name digits && nacre evaluate digits --data ${SAMPLE.held}`,
    },
    deploy: {
      facts: endpoint && <Fact to={inProject(project, `/endpoints/${endpoint.name}`)} name={endpoint.name} state={endpoint.state} message={endpoint.state === "failed" ? endpoint.message : null} />,
      actions:
        states.deploy === "done" && endpoint ? (
          <Button component={Link} to={inProject(project, `/endpoints/${endpoint.name}`)}>
            {t("act.draw")}
          </Button>
        ) : (
          may &&
          version?.conversion === "ready" &&
          type &&
          states.deploy !== "busy" && (
            <>
              <Button variant={next === "deploy" ? "filled" : "default"} onClick={() => deploying.mutate()} loading={deploying.isPending}>
                {t("act.deploy")}
              </Button>
              <span className="n-soft">{t("digits.price", { price: price(type.price_per_hour, type.currency) })}</span>
            </>
          )
        ),
      cli: `nacre deploy digits --name ${ENDPOINT}`,
    },
  };
  return STEPS.map((name, at) => (
    <StepRow
      key={name}
      name={name}
      number={at + 1}
      state={sample.isPending && name === "data" ? "busy" : states[name]}
      current={name === next}
      optional={OPTIONAL.has(name)}
      text={t(`steps.${name}.digits`)}
      {...rows[name]}
    />
  ));
}

export function Go({ to, primary, children }: { to: string; primary?: boolean; children: ReactNode }) {
  return (
    <Button variant={primary ? "filled" : "default"} component={Link} to={to}>
      {children}
    </Button>
  );
}

const BUSY = new Set(["preparing", "starting", "running", "building", "resolving", "converting"]);

/** `lasting`: it runs until somebody stops it, so that nothing is waited for while it does. */
export function Fact({ to, name, state, message, lasting = false }: { to: string; name: string; state: string; message?: string | null | undefined; lasting?: boolean }) {
  return (
    <>
      <Anchor size="sm" component={Link} to={to}>
        {name}
      </Anchor>
      <Status state={state} />
      {BUSY.has(state) && !(lasting && state === "running") && <Loader size={12} aria-hidden />}
      {message && <span className={classes.message}>{message}</span>}
    </>
  );
}
