/** What the submission would do: whether it starts, what it costs, what is wrong with it. */
import { Alert, Button } from "@mantine/core";
import { IconAlertTriangle, IconPlayerPlay } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Problem, Schemas } from "@/api/client";
import { money, price } from "@/ui/format";
import type { EditorError } from "@/ui/CodeEditor";
import classes from "./form.module.css";
import { replicasOf } from "./job";

interface Props {
  plan: Schemas["JobPlan"] | null;
  problem: Problem | null;
  settling: boolean;
  /** There is something to plan. */
  asked: boolean;
  /** Where the YAML cannot be read. */
  unread: EditorError | null;
  /** What is going on, while it is being submitted. */
  sending: string | null;
}

export function PlanCard({ plan, problem, settling, asked, unread, sending }: Props) {
  const { t } = useTranslation("jobs");
  const good = plan && !problem && asked;
  return (
    <section className={classes.plan} aria-label={t("plan.title")} aria-busy={settling}>
      <div aria-live="polite" className={classes.planText}>
        {unread ? (
          <Alert color="red" variant="outline" p="sm" icon={<IconAlertTriangle size={16} />} title={t("plan.unread", { line: unread.line })}>
            {unread.message}
          </Alert>
        ) : problem ? (
          <Alert color="red" variant="outline" p="sm" icon={<IconAlertTriangle size={16} />}>
            {problem.message}
          </Alert>
        ) : good ? (
          <>
            <p className={classes.starts} data-starts={plan.starts}>
              <span aria-hidden className={classes.dot} />
              {t(`plan.starts.${plan.starts}`)}
            </p>
            {plan.message && <p className="n-soft">{plan.message}</p>}
            <dl className={classes.prices}>
              <dt>{t("plan.price")}</dt>
              <dd>{t("common:perHour", { price: price(plan.price_per_hour, plan.currency) })}</dd>
              <dt>{t("plan.maxCost")}</dt>
              <dd>{plan.max_cost === null || plan.max_cost === undefined ? t("plan.noLimit") : money(plan.max_cost, plan.currency)}</dd>
              {replicasOf(plan.spec) && <Row name={t("fields.replicas")} value={replicasOf(plan.spec)!.replace("..", "–")} />}
              {Object.entries(plan.inputs ?? {}).map(([name, reference]) => (
                <Row key={name} name={name} value={reference} />
              ))}
              <dt>{t("plan.environment")}</dt>
              <dd>
                {plan.spec.environment} <span className="n-soft">({t(`plan.environments.${plan.environment_state}`, { defaultValue: plan.environment_state })})</span>
              </dd>
            </dl>
          </>
        ) : (
          <p className="n-soft">{asked ? t("plan.asking") : t("plan.nothing")}</p>
        )}
      </div>
      <Button type="submit" form="job" size="sm" fullWidth loading={sending !== null} disabled={!good || plan.starts === "never"} leftSection={<IconPlayerPlay size={14} />}>
        {t("form.submit")}
      </Button>
      {sending && (
        <output className="n-soft" style={{ display: "block", marginTop: 8 }}>
          {sending}
        </output>
      )}
    </section>
  );
}

function Row({ name, value }: { name: string; value: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}
