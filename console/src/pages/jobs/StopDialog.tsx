/** Asks before a job is stopped, and whether it gets time to save its state. */
import { Button, Group, Modal, Stack, Switch, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { duration } from "@/ui/format";
import { tell } from "@/ui/notify";
import { isAllocated, type Job } from "./job";
import { seconds } from "./stopping";

interface Props {
  job: Job;
  opened: boolean;
  close: () => void;
}

export function StopDialog({ job, opened, close }: Props) {
  const { t } = useTranslation("jobs");
  return (
    <Modal opened={opened} onClose={close} title={t("stop.title", { name: job.name })} closeButtonProps={{ "aria-label": t("common:close") }}>
      {opened && <Form job={job} close={close} />}
    </Modal>
  );
}

const FIRST = "10m";

function Form({ job, close }: Omit<Props, "opened">) {
  const { t } = useTranslation("jobs");
  const { name: project } = useProject();
  const [saving, setSaving] = useState(false);
  const [grace, setGrace] = useState(FIRST);
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState("");
  const holds = isAllocated(job);
  const given = seconds(grace);
  const bad = saving && given === null;
  const submit = async () => {
    if (bad) return;
    setBusy(true);
    try {
      const path = { path: { project, job: job.name } };
      await ask(api.POST("/api/v1/projects/{project}/jobs/{job}/stop", { params: path, body: saving && given !== null ? { grace: given } : {} }));
      tell(saving ? t("stop.askedSaving", { time: duration(given) }) : t("stop.asked"));
      close();
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <Stack gap="md">
        <Text size="sm">{!holds ? t("stop.lostQueued") : saving ? t("stop.lostSaving") : t("stop.lost", { time: duration(job.spec.stop_duration ?? 10) })}</Text>
        {holds && <Switch label={t("stop.save")} description={t("stop.saveNote")} checked={saving} onChange={(event) => setSaving(event.currentTarget.checked)} />}
        {holds && saving && (
          <TextInput
            label={t("stop.grace")}
            value={grace}
            onChange={(event) => setGrace(event.currentTarget.value)}
            error={bad ? t("stop.graceWrong") : undefined}
            placeholder={FIRST}
            w={160}
          />
        )}
        {fault && (
          <Text size="sm" c="red" role="alert">
            {fault}
          </Text>
        )}
        <Cli words={["nacre", "stop", job.name, ...(holds && saving ? ["--checkpoint", ...(bad ? [] : ["--grace", grace.replaceAll(" ", "")])] : [])]} />
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={close}>
            {t("common:cancel")}
          </Button>
          <Button type="submit" color="red" loading={busy} disabled={bad}>
            {t("common:stop")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
