/** What the code of replicas printed: of one at a time, also of those that ended a while ago. */
import { Group, Select, Stack } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { time } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { LogView } from "@/ui/LogView";
import { useUrlState } from "@/ui/useUrlState";
import { type Endpoint, type Replica, useReplicas } from "./data";
import classes from "./endpoints.module.css";

export function ReplicaLogs({ endpoint }: { endpoint: Endpoint }) {
  const { t, i18n } = useTranslation("endpoints");
  const { t: states } = useTranslation("status");
  const replicas = useReplicas(endpoint.project, endpoint.name);
  const [said, setSaid] = useUrlState("replica");
  if (!replicas.data) return replicas.error ? <Failure error={replicas.error} retry={() => void replicas.refetch()} /> : <Loading />;
  // One that was swept away meanwhile, or that an address names, is asked for all the same: its log says what is wrong.
  const chosen = replicas.data.find((one) => one.id === said) ?? (said ? null : replicas.data[0]);
  const id = chosen?.id ?? said;
  if (!id) {
    const separate = (endpoint.revisions ?? []).some((one) => one.runtime === "replicas");
    return <p className={classes.message}>{t(separate ? "logs.none" : "logs.shared")}</p>;
  }
  const live = chosen != null && chosen.ended_at == null;
  const label = (one: Replica) =>
    t("logs.choice", { number: one.revision, state: states(one.state, one.state), time: time(one.created_at, i18n.language) });
  return (
    <Stack gap="sm">
      <Group gap="sm" align="center">
        <Select
          aria-label={t("logs.replica")}
          data={[...(chosen ? [] : [{ value: id, label: id }]), ...replicas.data.map((one) => ({ value: one.id, label: label(one) }))]}
          value={id}
          onChange={(next) => setSaid(next ?? "")}
          allowDeselect={false}
          searchable={replicas.data.length > 12}
          w={360}
        />
        <Cli words={["nacre", "endpoint", "logs", ...(live ? ["-f"] : []), "--replica", id, endpoint.name]} />
      </Group>
      {chosen?.message && <p className={classes.message}>{chosen.message.split("\n", 1)[0]}</p>}
      <LogView project={endpoint.project} source={{ kind: "endpoint", name: endpoint.name, replica: id }} live={live} />
    </Stack>
  );
}
