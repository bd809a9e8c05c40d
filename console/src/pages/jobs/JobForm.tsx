/** The fields of a job. Each shows what the YAML says and changes that place of it. */
import { Accordion, ActionIcon, Button, Group, MultiSelect, NumberInput, SegmentedControl, Select, Switch, Textarea, TextInput, Title } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { useProject } from "@/app/project";
import { bytes, price } from "@/ui/format";
import classes from "./form.module.css";
import { Inputs } from "./Inputs";
import { Pairs } from "./Pairs";
import { ResumeFrom } from "./ResumeFrom";
import { Several } from "./Several";
import { BELOW, useDraft } from "./useDraft";

const EXAMPLE = "python train.py";

export function JobForm() {
  const { t } = useTranslation("jobs");
  return (
    <>
      <Section title={t("form.run")}>
        <Commands />
        <div className={classes.two}>
          <Environment />
          <Text field="name" placeholder={t("form.nameAutomatic")} />
        </div>
      </Section>
      <Section title={t("form.data")} note={t("form.dataNote")}>
        <Inputs />
      </Section>
      <Section title={t("form.machine")}>
        <Machine />
      </Section>
      <Section title={t("form.several")} note={t("form.severalNote")}>
        <Several />
      </Section>
      <Section title={t("form.limits")}>
        <div className={classes.three}>
          <Text field="max_duration" placeholder="1h30m" description={t("form.maxDurationNote")} />
          <Restarts />
          <ResumeFrom />
        </div>
      </Section>
      <More />
    </>
  );
}

export function Section({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <section className={classes.section}>
      <Title order={2}>{title}</Title>
      {note && <p className="n-soft">{note}</p>}
      {children}
    </section>
  );
}

type TextField = "name" | "max_duration" | "description" | "experiment_name" | "workdir";

function Text({ field, placeholder, description }: { field: TextField; placeholder?: string; description?: string }) {
  const { t } = useTranslation("jobs");
  const { draft, set, error } = useDraft();
  return (
    <TextInput
      label={t(`fields.${field}`)}
      value={draft.string(field)}
      onChange={(event) => set([field], event.currentTarget.value)}
      error={error(field)}
      placeholder={placeholder ?? ""}
      description={description}
      inputWrapperOrder={BELOW}
    />
  );
}

function Commands() {
  const { t } = useTranslation("jobs");
  const { draft, set, error } = useDraft();
  const said = draft.get("commands");
  const commands = Array.isArray(said) ? said.map(String) : typeof said === "string" ? [said] : [];
  const shown = commands.length ? commands : [""];
  const write = (next: string[]) => set(["commands"], next.length === 1 && next[0] === "" ? null : next);
  return (
    <div>
      {shown.map((command, index) => (
        // Commands have no identity but their place.
        <Group key={index} gap="xs" wrap="nowrap" align="flex-start" mb={4}>
          <Textarea
            label={index === 0 ? t("fields.commands") : undefined}
            aria-label={index === 0 ? undefined : t("form.commandNumber", { number: index + 1 })}
            description={index === 0 ? t("form.commandsNote") : undefined}
            value={command}
            onChange={(event) => write(shown.map((one, i) => (i === index ? event.currentTarget.value : one)))}
            autosize
            minRows={1}
            placeholder={EXAMPLE}
            error={index === 0 ? error("commands") : undefined}
            classNames={{ input: "n-mono" }}
            style={{ flex: 1 }}
            withAsterisk={index === 0}
          />
          {shown.length > 1 && (
            <ActionIcon aria-label={t("form.removeCommand", { number: index + 1 })} onClick={() => write(shown.filter((_, i) => i !== index))} mt={index === 0 ? 40 : 0}>
              <IconTrash size={14} />
            </ActionIcon>
          )}
        </Group>
      ))}
      <Button variant="default" leftSection={<IconPlus size={14} />} onClick={() => write([...shown, ""])}>
        {t("form.addCommand")}
      </Button>
    </div>
  );
}

function Environment() {
  const { t } = useTranslation("jobs");
  const { name: project } = useProject();
  const { draft, set, error } = useDraft();
  const found = useQuery({
    queryKey: ["environments", project, "choices"],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/environments", { params: { path: { project }, query: { limit: 200 } } as never })),
  });
  const { t: states } = useTranslation("status");
  const locked = draft.string("environment_lock");
  const value = draft.string("environment") || "base";
  const items = found.data?.items ?? [];
  const data = [...new Set([...items.map((one) => one.name), value])].sort();
  return (
    <div>
      <Select
        label={t("fields.environment")}
        data={data}
        value={value}
        onChange={(next) => set(["environment"], next)}
        searchable
        allowDeselect={false}
        error={error("environment") ?? error("environment_lock")}
        renderOption={({ option }) => {
          const one = items.find((item) => item.name === option.value);
          return (
            <span className={classes.option}>
              <span>{option.value}</span>
              {one && <span className="n-soft">{one.state === "ready" ? one.description || states("ready") : states(one.state)}</span>}
            </span>
          );
        }}
      />
      {locked && (
        <Switch mt={8} label={t("form.lock")} description={t("form.lockNote")} checked onChange={() => set(["environment_lock"], null)} />
      )}
    </div>
  );
}

function Machine() {
  const { t } = useTranslation("jobs");
  const { draft, set, error } = useDraft();
  const types = useQuery({ queryKey: ["instance-types"], queryFn: () => ask(api.GET("/api/v1/instance-types")) });
  const type = draft.string("instance_type");
  const items = types.data?.items ?? [];
  return (
    <>
      <SegmentedControl
        aria-label={t("form.machine")}
        value={type ? "type" : "resources"}
        onChange={(next) => set(["instance_type"], next === "type" ? (items.find((one) => one.available)?.name ?? items[0]?.name ?? "cpu.small") : null)}
        data={[
          { value: "resources", label: t("form.byResources") },
          { value: "type", label: t("form.byType") },
        ]}
        style={{ alignSelf: "start" }}
      />
      {type ? (
        <Select
          label={t("fields.instance_type")}
          data={items.map((one) => ({
            value: one.name,
            label: t("form.typeOption", { name: one.name, cpu: one.cpu, memory: bytes(one.memory), price: price(one.price_per_hour, one.currency) }) + (one.gpu ? ` · ${one.gpu} ${one.gpu_name ?? "GPU"}` : ""),
            disabled: one.available === false,
          }))}
          value={type}
          onChange={(next) => set(["instance_type"], next)}
          allowDeselect={false}
          error={error("instance_type")}
        />
      ) : (
        <div className={classes.four}>
          <Amount field="cpu" placeholder="1" />
          <Size field="memory" placeholder="2GB" />
          <Amount field="gpu" placeholder="0" note={t("form.gpuNote")} />
          <Size field="disk" placeholder="20GB" />
        </div>
      )}
    </>
  );
}

function Amount({ field, placeholder, note }: { field: "cpu" | "gpu"; placeholder: string; note?: string }) {
  const { t } = useTranslation("jobs");
  const { draft, set, error } = useDraft();
  const said = draft.get("resources", field);
  // `H100:2` is more than a number, and stays as it is.
  if (typeof said === "string" && !/^[\d.]*$/.test(said)) {
    return <TextInput label={t(`fields.${field}`)} value={said} onChange={(event) => set(["resources", field], event.currentTarget.value)} error={error(`resources.${field}`)} />;
  }
  return (
    <NumberInput
      label={t(`fields.${field}`)}
      value={said === undefined || said === null ? "" : Number(said)}
      onChange={(next) => set(["resources", field], next === "" ? null : next)}
      min={0}
      description={note}
      inputWrapperOrder={BELOW}
      placeholder={placeholder}
      error={error(`resources.${field}`)}
    />
  );
}

function Size({ field, placeholder }: { field: "memory" | "disk"; placeholder: string }) {
  const { t } = useTranslation("jobs");
  const { draft, set, error } = useDraft();
  return (
    <TextInput
      label={t(`fields.${field}`)}
      value={draft.string("resources", field)}
      onChange={(event) => set(["resources", field], event.currentTarget.value)}
      placeholder={placeholder}
      error={error(`resources.${field}`)}
    />
  );
}

function Restarts() {
  const { t } = useTranslation("jobs");
  const { draft, set, error } = useDraft();
  const said = draft.get("max_restarts");
  return (
    <NumberInput
      label={t("fields.max_restarts")}
      description={t("form.restartsNote")}
      inputWrapperOrder={BELOW}
      value={said === undefined || said === null ? "" : Number(said)}
      onChange={(next) => set(["max_restarts"], next === "" ? null : next)}
      min={0}
      max={1000}
      allowDecimal={false}
      placeholder="0"
      error={error("max_restarts")}
    />
  );
}

function More() {
  const { t } = useTranslation("jobs");
  const { draft, set, error } = useDraft();
  const { name: project } = useProject();
  const secrets = useQuery({
    queryKey: ["secrets", project, "choices"],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/secrets", { params: { path: { project } } })),
  });
  const chosen = draft.get("secrets");
  const names = Array.isArray(chosen) ? chosen.map(String) : [];
  const capture = draft.get("capture");
  const priority = draft.get("priority");
  const count = (field: string) => Object.keys((draft.get(field) as object | undefined) ?? {}).length;
  const titled = (title: string, many: number) => (many ? `${title} (${many})` : title);
  return (
    <Accordion variant="separated" multiple chevronPosition="left" order={2} className={classes.more}>
      <Accordion.Item value="env">
        <Accordion.Control>{titled(t("fields.env"), count("env"))}</Accordion.Control>
        <Accordion.Panel>
          <Pairs field="env" label={t("fields.env")} add={t("form.addVariable")} />
        </Accordion.Panel>
      </Accordion.Item>
      <Accordion.Item value="secrets">
        <Accordion.Control>{titled(t("fields.secrets"), names.length)}</Accordion.Control>
        <Accordion.Panel>
          <MultiSelect
            label={t("fields.secrets")}
            description={t("form.secretsNote")}
            data={[...new Set([...(secrets.data?.items ?? []).map((one) => one.name), ...names])]}
            value={names}
            onChange={(next) => set(["secrets"], next)}
            error={error("secrets")}
            searchable
          />
        </Accordion.Panel>
      </Accordion.Item>
      <Accordion.Item value="tags">
        <Accordion.Control>{titled(t("fields.tags"), count("tags"))}</Accordion.Control>
        <Accordion.Panel>
          <Pairs field="tags" label={t("fields.tags")} add={t("form.addTag")} />
        </Accordion.Panel>
      </Accordion.Item>
      <Accordion.Item value="more">
        <Accordion.Control>{t("form.more")}</Accordion.Control>
        <Accordion.Panel>
          <div className={classes.section}>
            <Text field="description" />
            <div className={classes.two}>
              <Text field="experiment_name" description={t("form.experimentNote")} />
              <Text field="workdir" placeholder="." description={t("form.workdirNote")} />
            </div>
            <Select
              label={t("fields.priority")}
              description={t("form.priorityNote")}
              data={(["low", "normal", "high"] as const).map((value) => ({ value, label: t(`form.priorities.${value}`) }))}
              value={typeof priority === "string" ? priority : "normal"}
              onChange={(next) => set(["priority"], next === "normal" ? null : next)}
              error={error("priority")}
              allowDeselect={false}
            />
            <Switch
              label={t("fields.spot")}
              description={t("form.spotNote")}
              checked={draft.get("spot") === true}
              onChange={(event) => set(["spot"], event.currentTarget.checked || null)}
            />
            <Switch
              label={t("fields.capture")}
              description={t("form.captureNote")}
              checked={capture !== "off" && capture !== false}
              onChange={(event) => set(["capture"], event.currentTarget.checked ? null : "off")}
            />
          </div>
        </Accordion.Panel>
      </Accordion.Item>
    </Accordion>
  );
}
