/** How an endpoint scales and is called: values for those who look, a form for those who may change them. */
import { Button, Group, Switch, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, Problem } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { fieldErrors } from "@/pages/jobs/draft";
import { BELOW } from "@/pages/jobs/useDraft";
import { Cli } from "@/ui/Cli";
import { Fact, Facts } from "@/ui/Facts";
import { tell } from "@/ui/notify";
import { type Endpoint, endpointKey } from "./data";
import classes from "./endpoints.module.css";
import { ScheduleFields, Schedules } from "./Schedules";
import { changes, draftOf, type FieldName, FIELDS, GROUPS, nameOf, type SettingsDraft, words } from "./settingsDraft";

type Group = keyof typeof GROUPS;
const ORDER = Object.keys(GROUPS) as Group[];

export function Settings({ endpoint }: { endpoint: Endpoint }) {
  const editor = useMay("editor");
  return editor ? <SettingsForm endpoint={endpoint} /> : <Values endpoint={endpoint} />;
}

function Values({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useTranslation("endpoints");
  const draft = draftOf(endpoint);
  const value = (name: FieldName) => {
    if (!draft[name]) return t("settings.default");
    return FIELDS[name].kind === "percent" ? `${draft[name]} %` : draft[name];
  };
  const off = (group: Group) => (group === "capture" && !endpoint.settings.capture) || (group === "rollback" && !draft.rollback);
  return (
    <>
      {ORDER.map((group) => (
        <section key={group} className={classes.section}>
          <h2>{t(`settings.groups.${group}`)}</h2>
          {off(group) ? (
            <p className={classes.message}>{t("settings.off")}</p>
          ) : (
            <Facts names="fit">
              {GROUPS[group].map((name) => (
                <Fact key={name} name={t(`settings.${name}`)}>
                  {name === "cors_origins" ? draft[name].replaceAll("\n", t("comma")) || t("common:none") : value(name)}
                </Fact>
              ))}
            </Facts>
          )}
          {group === "scaling" && <Schedules schedules={draft.schedules} />}
        </section>
      ))}
    </>
  );
}

function SettingsForm({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useTranslation("endpoints");
  const project = useProject().name;
  const client = useQueryClient();
  // Only what was typed is kept: the rest follows the endpoint, which is read anew every few seconds.
  const [typed, setTyped] = useState<Partial<SettingsDraft>>({});
  const stored = draftOf(endpoint);
  const draft: SettingsDraft = { ...stored, ...typed };
  const body = changes(stored, draft);
  const save = useMutation({
    mutationFn: () =>
      ask(
        api.PATCH("/api/v1/projects/{project}/endpoints/{endpoint}", {
          params: { path: { project, endpoint: endpoint.name } },
          body: body as never,
        }),
      ),
    onSuccess: (saved) => {
      client.setQueryData(endpointKey(project, endpoint.name), saved);
      setTyped({});
      tell(t("settings.saved"));
    },
  });
  const said = save.error instanceof Problem ? fieldErrors(save.error) : [];
  const placed = said.filter((one) => nameOf(one.field) !== null);
  const error = (name: FieldName) => {
    const message = placed.find((one) => nameOf(one.field) === name)?.message;
    // The server speaks of parts of 1, where the form has percents.
    return message && FIELDS[name].kind === "percent" ? t("settings.badPercent") : message;
  };
  const set = (change: Partial<SettingsDraft>) => setTyped((before) => ({ ...before, ...change }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (body) save.mutate();
  };
  const input = (name: FieldName) => {
    const { kind } = FIELDS[name];
    const common = {
      label: t(`settings.${name}`),
      description: t(`settings.${name}Text`),
      inputWrapperOrder: BELOW,
      value: draft[name],
      error: error(name),
    };
    if (kind === "lines") {
      return <Textarea key={name} {...common} onChange={(event) => set({ [name]: event.currentTarget.value })} autosize minRows={1} maxRows={6} />;
    }
    return (
      <TextInput
        key={name}
        {...common}
        onChange={(event) => set({ [name]: event.currentTarget.value })}
        placeholder={"empty" in FIELDS[name] ? t("settings.default") : name === "capture_dataset" ? t("settings.off") : undefined}
        inputMode={kind === "number" || kind === "percent" ? "decimal" : "text"}
        rightSection={kind === "percent" ? "%" : undefined}
        autoComplete="off"
      />
    );
  };
  const shown = (group: Group) => {
    if (group === "capture" && !draft.capture_dataset.trim()) return GROUPS.capture.slice(0, 1);
    return group === "rollback" && !draft.rollback ? [] : GROUPS[group];
  };
  const command = words(endpoint.name, stored, draft);
  return (
    <form onSubmit={submit} aria-label={t("tabs.settings")} className={classes.stack}>
      {ORDER.map((group) => (
        <section key={group} className={classes.section}>
          <h2>{t(`settings.groups.${group}`)}</h2>
          <p className={classes.message} style={{ marginBottom: 12 }}>
            {t(`settings.groups.${group}Text`)}
          </p>
          {group === "rollback" && (
            <Switch
              label={t("settings.rollback")}
              checked={draft.rollback}
              onChange={(event) => set({ rollback: event.currentTarget.checked })}
              mb={12}
            />
          )}
          <div className={classes.fields}>{shown(group).map(input)}</div>
          {group === "scaling" && <ScheduleFields schedules={draft.schedules} set={(schedules) => set({ schedules })} />}
        </section>
      ))}
      {save.error && placed.length < Math.max(1, said.length) && (
        <p className={classes.fault} role="alert">
          {save.error.message}
        </p>
      )}
      <Group gap="sm">
        <Button type="submit" disabled={!body} loading={save.isPending}>
          {t("common:save")}
        </Button>
        {body && (
          <Button
            variant="default"
            onClick={() => {
              setTyped({});
              save.reset();
            }}
          >
            {t("common:cancel")}
          </Button>
        )}
      </Group>
      {command && <Cli words={command} wrap />}
    </form>
  );
}
