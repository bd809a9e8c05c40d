/** Measure a version on a dataset. */
import { Button, Collapse, Group, Modal, Select, Stack, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { api, ask } from "@/api/client";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { DialogButtons } from "@/ui/DialogButtons";
import { Empty } from "@/ui/Empty";
import { tell, tellError } from "@/ui/notify";
import { modelPath, useRefresh, type Version } from "./data";

interface Props {
  versions: Version[];
  version: Version;
  opened: boolean;
  onClose: () => void;
}

export function EvaluateDialog({ versions, version, opened, onClose }: Props) {
  const { t } = useTranslation("models");
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={t("evaluate.title", { name: `${version.model}/${version.number}` })}
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      <EvaluateForm key={version.id} versions={versions} version={version} onClose={onClose} />
    </Modal>
  );
}

function EvaluateForm({ versions, version, onClose }: Omit<Props, "opened">) {
  const { t } = useTranslation("models");
  const project = useProject().name;
  const navigate = useNavigate();
  const refresh = useRefresh(project);
  const datasets = useQuery({
    queryKey: ["data", project, "choices"],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/data", { params: { path: { project }, query: { limit: 200 } } })),
  });
  // What others were measured on is what this one is to be compared by.
  const before = versions.flatMap((one) => one.evaluations ?? [])[0]?.data.split("@")[0] ?? null;
  const [chosen, setChosen] = useState<string | null>(before);
  const [number, setNumber] = useState<string | null>(null);
  const [features, setFeatures] = useState("");
  const [label, setLabel] = useState("");
  const [more, setMore] = useState(false);
  const [starting, setStarting] = useState(false);
  const items = datasets.data?.items ?? [];
  const dataset = items.find((one) => one.name === chosen) ?? null;
  const newest = dataset?.latest?.number;
  const data = dataset && `${dataset.name}@${number ?? newest}`;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!data) return;
    setStarting(true);
    try {
      const started = await ask(
        api.POST("/api/v1/projects/{project}/models/{model}/versions/{version}/evaluations", {
          params: { path: { project, model: version.model, version: String(version.number) } },
          body: { data, features: features || null, label: label || null },
        }),
      );
      tell(t("evaluate.started", { job: started.job }));
      onClose();
      await navigate(modelPath(project, version.model, { version: version.number, tab: "evaluations", evaluation: started.id }));
      await refresh(version.model);
    } catch (error) {
      tellError(error);
    } finally {
      setStarting(false);
    }
  };
  if (datasets.data && !items.length) {
    return (
      <Empty title={t("evaluate.noData")} cli={["nacre", "data", "push", "digits-test.npz", "--name", "digits-test"]}>
        {t("evaluate.noDataText")}
      </Empty>
    );
  }
  const words = ["nacre", "evaluate", `${version.model}/${version.number}`, "--data", data ?? "DATASET@1"];
  if (features) words.push("--features", features);
  if (label) words.push("--label", label);
  return (
    <form onSubmit={(event) => void submit(event)}>
      <Stack gap="md">
        <Group gap="sm" grow align="flex-start">
          <Select
            label={t("evaluate.dataset")}
            data={items.map((one) => one.name)}
            value={dataset ? chosen : null}
            onChange={(value) => {
              setChosen(value);
              setNumber(null);
            }}
            searchable
            required
          />
          <Select
            label={t("common:version")}
            data={[...(dataset?.versions ?? [])].reverse().map(String)}
            value={number ?? (newest === undefined ? null : String(newest))}
            onChange={setNumber}
            disabled={!dataset}
            allowDeselect={false}
          />
        </Group>
        <p className="n-soft" style={{ margin: 0, fontSize: 13 }}>
          {t("evaluate.text")}
        </p>
        <Button variant="subtle" size="compact-xs" w="fit-content" aria-expanded={more} onClick={() => setMore(!more)}>
          {t("evaluate.names")}
        </Button>
        <Collapse expanded={more}>
          <Group gap="sm" grow align="flex-start">
            <TextInput label={t("evaluate.features")} placeholder="x" value={features} onChange={(event) => setFeatures(event.currentTarget.value)} />
            <TextInput label={t("evaluate.label")} placeholder="y" value={label} onChange={(event) => setLabel(event.currentTarget.value)} />
          </Group>
        </Collapse>
        <Cli words={words} />
        <DialogButtons action={t("actions.evaluate")} busy={starting} disabled={!data} cancel={onClose} />
      </Stack>
    </form>
  );
}
