/** The fields of a quota: the most that a project's work holds at one moment, and its weight in turns. */
import { Button, Group, Select, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, Problem } from "@/api/client";
import { fieldErrors } from "@/pages/jobs/draft";
import { BELOW } from "@/pages/jobs/useDraft";
import { Cli } from "@/ui/Cli";
import { tell } from "@/ui/notify";
import classes from "./queue.module.css";
import { changed, draftOf, type Quota, type QuotaDraft, words } from "./shares";

interface Props {
  project: string;
  quota: Quota | null;
  done?: () => void;
  cancel?: () => void;
}

const FIELDS = ["cpu", "memory", "gpu", "running_jobs", "weight"] as const;
const PRIORITIES = ["low", "normal", "high"] as const;

export function QuotaForm({ project, quota, done, cancel }: Props) {
  const { t } = useTranslation("queue");
  const client = useQueryClient();
  const [before, setBefore] = useState(() => draftOf(quota));
  const [draft, setDraft] = useState(before);
  const change = changed(before, draft);
  const save = useMutation({
    mutationFn: () => ask(api.PATCH("/api/v1/quotas/{name}", { params: { path: { name: project } }, body: change as never })),
    onSuccess: async (saved) => {
      const now = draftOf(saved);
      setBefore(now);
      setDraft(now);
      tell(t("quota.saved", { project }));
      done?.();
      await Promise.all([client.invalidateQueries({ queryKey: ["queue"] }), client.invalidateQueries({ queryKey: ["quota", project] })]);
    },
  });
  const errors = save.error instanceof Problem ? fieldErrors(save.error) : [];
  const error = (name: keyof QuotaDraft) => {
    if (name !== "memory" && name !== "priority" && draft[name].trim() !== "" && !(Number(draft[name]) >= 0)) return t("quota.noNumber");
    return errors.find((one) => one.field.split(".").includes(name))?.message;
  };
  const bad = (["cpu", "gpu", "running_jobs", "weight"] as const).some((name) => error(name) === t("quota.noNumber"));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!bad) save.mutate();
  };
  const field = (name: (typeof FIELDS)[number]) => (
    <TextInput
      key={name}
      label={t(`quota.${name}`)}
      description={t(`quota.${name}Note`)}
      inputWrapperOrder={BELOW}
      placeholder={name === "weight" ? "1" : t("quota.noLimit")}
      value={draft[name]}
      onChange={(event) => setDraft({ ...draft, [name]: event.currentTarget.value })}
      error={error(name)}
      inputMode={name === "memory" ? "text" : "decimal"}
      autoComplete="off"
    />
  );
  return (
    <form onSubmit={submit} aria-label={t("quota.title", { project })}>
      <Stack gap="md">
        <p className={classes.note}>{t("quota.text")}</p>
        <div className={classes.fields}>
          {FIELDS.map(field)}
          <Select
            label={t("quota.priority")}
            description={t("quota.priorityNote")}
            inputWrapperOrder={BELOW}
            data={PRIORITIES.map((value) => ({ value, label: t(`priority.${value}`) }))}
            value={draft.priority}
            onChange={(value) => value && setDraft({ ...draft, priority: value as QuotaDraft["priority"] })}
            error={error("priority")}
            allowDeselect={false}
          />
        </div>
        {save.error && !errors.length && (
          <p className={classes.fault} role="alert">
            {save.error.message}
          </p>
        )}
        <Group gap="sm" justify="space-between">
          {Object.keys(change).length > 0 && <Cli words={words(project, change)} wrap />}
          <Group gap="sm" ml="auto">
            {cancel && (
              <Button variant="default" onClick={cancel}>
                {t("common:cancel")}
              </Button>
            )}
            <Button type="submit" loading={save.isPending} disabled={bad || Object.keys(change).length === 0}>
              {t("common:save")}
            </Button>
          </Group>
        </Group>
      </Stack>
    </form>
  );
}
