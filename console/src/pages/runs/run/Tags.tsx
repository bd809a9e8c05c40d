/** A run's tags; those that may write runs can add and change them. */
import { ActionIcon, Button, Group, TextInput } from "@mantine/core";
import { IconCheck, IconPencil, IconPlus, IconX } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "@/api/client";
import { useMay } from "@/app/project";
import { tellError } from "@/ui/notify";
import classes from "./Run.module.css";

interface Props {
  project: string;
  run: Schemas["Run"];
  fits: (key: string) => boolean;
}

export function Tags({ project, run, fits }: Props) {
  const { t } = useTranslation("runs");
  const may = useMay("editor") && !run.deleted_at;
  const [editing, setEditing] = useState<string | null>(null);
  const tags = Object.entries(run.tags ?? {}).filter(([key]) => fits(key));
  const done = () => setEditing(null);
  return (
    <section className={classes.block}>
      <Group justify="space-between">
        <h2 className={classes.heading}>{t("overview.tags")}</h2>
        {may && editing === null && (
          <Button variant="subtle" leftSection={<IconPlus size={14} />} onClick={() => setEditing("")}>
            {t("tags.add")}
          </Button>
        )}
      </Group>
      {editing === "" && <TagForm project={project} run={run} name="" value="" done={done} />}
      {tags.length === 0 && editing !== "" && <p className={classes.none}>{t("overview.noTags")}</p>}
      {tags.length > 0 && (
        <dl className={classes.pairs}>
          {tags.map(([name, value]) =>
            editing === name ? (
              <TagForm key={name} project={project} run={run} name={name} value={value} done={done} />
            ) : (
              <div key={name} className={classes.fact}>
                <dt>{name}</dt>
                <dd>
                  {value}
                  {may && (
                    <ActionIcon size="sm" className={classes.tool} onClick={() => setEditing(name)} aria-label={t("tags.edit", { name })}>
                      <IconPencil size={12} />
                    </ActionIcon>
                  )}
                </dd>
              </div>
            ),
          )}
        </dl>
      )}
    </section>
  );
}

function TagForm({ project, run, name, value, done }: Omit<Props, "fits"> & { name: string; value: string; done: () => void }) {
  const { t } = useTranslation("runs");
  const client = useQueryClient();
  const [key, setKey] = useState(name);
  const [text, setText] = useState(value);
  const save = useMutation({
    mutationFn: () =>
      ask(
        api.POST("/api/v1/projects/{project}/runs/{run}/log", {
          params: { path: { project, run: run.id } },
          body: { records: [{ type: "t", key: key.trim(), text, step: 0, time_ms: Date.now() }] },
        }),
      ),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["run", project] });
      done();
    },
    onError: tellError,
  });
  return (
    <form
      className={classes.tag}
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      {name === "" && <TextInput value={key} onChange={(event) => setKey(event.currentTarget.value)} placeholder={t("common:name")} aria-label={t("tags.name")} maxLength={250} required data-autofocus />}
      {name !== "" && <span className={classes.tagName}>{name}</span>}
      <TextInput value={text} onChange={(event) => setText(event.currentTarget.value)} aria-label={t("tags.value")} placeholder={t("tags.value")} maxLength={8192} flex={1} />
      <ActionIcon type="submit" aria-label={t("common:save")} loading={save.isPending}>
        <IconCheck size={14} />
      </ActionIcon>
      <ActionIcon onClick={done} aria-label={t("common:cancel")}>
        <IconX size={14} />
      </ActionIcon>
    </form>
  );
}
