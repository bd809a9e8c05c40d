/** How many copies of the commands there are, and how their processes find each other. */
import { NumberInput, Select, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { distributionOf } from "./draft";
import classes from "./form.module.css";
import { BELOW, useDraft } from "./useDraft";

const TYPES = ["none", "pytorch", "tensorflow", "jax", "keras", "mxnet", "mpi"] as const;
const LAUNCHES = ["as", "per-process", "per-node"] as const;
const WITH_SERVERS = ["tensorflow", "mxnet"];

export function Several() {
  const { t } = useTranslation("jobs");
  const { draft, set, error } = useDraft();
  const replicas = draft.string("replicas");
  const processes = draft.get("processes_per_replica");
  const is = distributionOf(draft);
  const wrong = replicas !== "" && !/^\d+(\.\.\d+)?$/.test(replicas.trim());
  /** A field of `distribution`, which the YAML may write as one word. */
  const put = (field: string, value: unknown) => {
    if (is.word && field !== "type") set(["distribution"], { type: is.type, [field]: value });
    else if (is.word || (field === "type" && value === null)) set(["distribution"], value);
    else set(["distribution", field], value);
  };
  return (
    <>
      <div className={classes.three}>
        <TextInput
          label={t("fields.replicas")}
          description={t("form.replicasNote")}
          inputWrapperOrder={BELOW}
          value={replicas}
          onChange={(event) => {
            const said = event.currentTarget.value;
            set(["replicas"], /^\d+$/.test(said) ? Number(said) : said);
          }}
          placeholder="1"
          error={wrong ? t("form.replicasWrong") : error("replicas")}
        />
        <NumberInput
          label={t("fields.processes_per_replica")}
          description={t("form.processesNote")}
          inputWrapperOrder={BELOW}
          value={processes === undefined || processes === null ? "" : Number(processes)}
          onChange={(next) => set(["processes_per_replica"], next === "" ? null : next)}
          min={1}
          max={256}
          allowDecimal={false}
          placeholder="1"
          error={error("processes_per_replica")}
        />
        <Select
          label={t("fields.distribution")}
          description={t("form.distributionNote")}
          inputWrapperOrder={BELOW}
          data={TYPES.map((value) => ({ value, label: t(`form.distributions.${value}`) }))}
          value={is.type}
          onChange={(next) => put("type", next === "none" ? null : next)}
          allowDeselect={false}
          error={error("distribution")}
        />
      </div>
      {is.type !== "none" && (
        <div className={classes.three}>
          <Select
            label={t("fields.launch")}
            description={t("form.launchNote")}
            inputWrapperOrder={BELOW}
            data={LAUNCHES.map((value) => ({ value, label: t(`form.launches.${value}`) }))}
            value={is.launch ?? "as"}
            onChange={(next) => put("launch", next === "as" ? null : next)}
            allowDeselect={false}
            error={error("distribution.launch")}
          />
          {WITH_SERVERS.includes(is.type) && (
            <NumberInput
              label={t("fields.parameter_server_count")}
              description={t("form.serversNote")}
              inputWrapperOrder={BELOW}
              value={is.servers ?? ""}
              onChange={(next) => put("parameter_server_count", next || null)}
              min={0}
              max={64}
              allowDecimal={false}
              placeholder={is.type === "mxnet" ? "1" : "0"}
              error={error("distribution.parameter_server_count")}
            />
          )}
        </div>
      )}
    </>
  );
}
