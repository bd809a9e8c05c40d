/** The most that the project's work holds at one moment, and what it holds now. Administrators set it. */
import { Anchor, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { api, ask } from "@/api/client";
import { useProject } from "@/app/project";
import { useUser } from "@/app/session";
import { amount } from "@/pages/jobs/words";
import { QuotaForm } from "@/pages/queue/QuotaForm";
import { Fact, Facts } from "@/ui/Facts";
import { Failure } from "@/ui/Failure";
import { bytes } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import classes from "./Settings.module.css";

export function Quota() {
  const { t } = useTranslation(["settings", "queue"]);
  const project = useProject().name;
  const admin = useUser().admin ?? false;
  const quota = useQuery({
    queryKey: ["quota", project],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/quota", { params: { path: { project } } })),
  });
  const shares = useQuery({ queryKey: ["queue", "shares"], queryFn: () => ask(api.GET("/api/v1/queue/shares")), refetchInterval: 15_000 });
  if (quota.error) return <Failure error={quota.error} retry={() => void quota.refetch()} />;
  if (!quota.data) return <Loading />;
  const is = quota.data;
  const now = shares.data?.items.find((one) => one.project === project);
  const of = (held: string | null, most: string | null) => {
    const limit = most ?? t("queue:quota.noLimit");
    return held === null ? limit : t("quota.holds", { limit, held });
  };
  return (
    <Stack gap="lg" className={classes.narrow}>
      <Facts names="fit">
        <Fact name={t("queue:cpu")}>{of(now ? amount(now.cpu) : null, is.cpu == null ? null : amount(is.cpu))}</Fact>
        <Fact name={t("queue:memory")}>{of(now ? bytes(now.memory) : null, is.memory == null ? null : bytes(is.memory))}</Fact>
        <Fact name={t("queue:gpu")}>{of(now ? amount(now.gpu) : null, is.gpu == null ? null : amount(is.gpu))}</Fact>
        <Fact name={t("queue:quota.running_jobs")}>{of(now ? String(now.running) : null, is.running_jobs == null ? null : String(is.running_jobs))}</Fact>
        <Fact name={t("queue:weight")}>{amount(is.weight ?? 1)}</Fact>
        <Fact name={t("queue:quota.priority")}>{t(`queue:priority.${is.priority ?? "normal"}`)}</Fact>
      </Facts>
      <Anchor component={Link} size="sm" to="/queue?tab=shares">
        {t("quota.others")}
      </Anchor>
      {admin ? <QuotaForm key={JSON.stringify(is)} project={project} quota={is} /> : <p className={classes.note}>{t("queue:quota.readOnly")}</p>}
    </Stack>
  );
}
