/** What the server finds when it tries itself and its machine, the worst first. */
import { Button, Group, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { IconAlertTriangle, IconCircleCheck, IconCircleX, IconRefresh } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { time } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { type Check, clockApart, counts, inOrder } from "./checks";
import classes from "./Doctor.module.css";

const ICONS = { ok: IconCircleCheck, warning: IconAlertTriangle, problem: IconCircleX };

async function diagnose() {
  const started = Date.now();
  const found = await ask(api.GET("/api/v1/doctor"));
  return { ...found, apart: clockApart(found.checked_at, started, Date.now()) };
}

export function Doctor() {
  const { t, i18n } = useTranslation("admin");
  const found = useQuery({ queryKey: ["admin", "doctor"], queryFn: diagnose, staleTime: 60_000, refetchOnWindowFocus: false });
  if (found.error && !found.data) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Loading />;
  const checks = [...found.data.checks];
  if (found.data.apart !== 0) {
    checks.push({
      name: "browser",
      state: "warning",
      message: t("doctor.browserClock", { count: Math.abs(found.data.apart) }),
      remedy: t("doctor.browserRemedy"),
    });
  }
  const count = counts(checks);
  return (
    <Stack gap="md">
      <Group gap="md">
        <p className={classes.sum} data-state={count.problem ? "problem" : count.warning ? "warning" : "ok"} role="status">
          {count.problem
            ? t("doctor.problems", { count: count.problem })
            : count.warning
              ? t("doctor.warnings", { count: count.warning })
              : t("doctor.well", { count: count.ok })}
        </p>
        <span className="n-soft" style={{ fontSize: 13 }}>
          {t("doctor.checked", { date: time(found.data.checked_at, i18n.language) })}
        </span>
        <Button ml="auto" variant="default" leftSection={<IconRefresh size={14} />} loading={found.isFetching} onClick={() => void found.refetch()}>
          {t("doctor.again")}
        </Button>
      </Group>
      <ul className={classes.checks} aria-label={t("tabs.doctor")}>
        {inOrder(checks).map((check, at) => (
          <Row key={`${check.name} ${at}`} check={check} />
        ))}
      </ul>
      <Group>
        <Cli words={["nacre", "doctor"]} />
      </Group>
    </Stack>
  );
}

function Row({ check }: { check: Check }) {
  const { t } = useTranslation("admin");
  const Icon = ICONS[check.state];
  return (
    <li className={classes.check} data-state={check.state}>
      <span className={classes.state}>
        <Icon size={16} aria-hidden />
        {t(`doctor.state.${check.state}`)}
      </span>
      <span className={classes.name}>{t(`doctor.name.${check.name}`, { defaultValue: check.name })}</span>
      <div className={classes.said}>
        <p>{check.message}</p>
        {check.remedy && (
          <p className={classes.remedy}>
            <b>{t("doctor.todo")}</b> {check.remedy}
          </p>
        )}
      </div>
    </li>
  );
}
