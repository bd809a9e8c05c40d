import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "@/api/client";
import { tellError } from "@/ui/notify";

interface Props {
  project: string;
  run: Schemas["Run"];
  opened: boolean;
  close: () => void;
}

/** Another name, or another experiment (which is made when there is none of that name). */
export function Rename({ project, run, opened, close }: Props) {
  const { t } = useTranslation("runs");
  return (
    <Modal opened={opened} onClose={close} title={t("rename.title")} closeButtonProps={{ "aria-label": t("common:close") }}>
      {opened && <Fields project={project} run={run} close={close} />}
    </Modal>
  );
}

function Fields({ project, run, close }: Omit<Props, "opened">) {
  const { t } = useTranslation("runs");
  const client = useQueryClient();
  const [name, setName] = useState(run.name);
  const [experiment, setExperiment] = useState(run.experiment);
  const save = useMutation({
    mutationFn: () =>
      ask(
        api.PATCH("/api/v1/projects/{project}/runs/{run}", {
          params: { path: { project, run: run.id } },
          body: { name: name === run.name ? null : name, experiment: experiment === run.experiment ? null : experiment },
        }),
      ),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["run", project] });
      close();
    },
    onError: tellError,
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Stack gap="md">
        <TextInput label={t("common:name")} value={name} onChange={(event) => setName(event.currentTarget.value)} maxLength={250} required data-autofocus />
        <TextInput label={t("attributes.experiment")} value={experiment} onChange={(event) => setExperiment(event.currentTarget.value)} maxLength={250} required />
        <Group justify="flex-end">
          <Button type="submit" loading={save.isPending}>
            {t("common:save")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
