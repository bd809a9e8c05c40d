/** The dialogs that describe, tag or rename a model, and describe, tag or stage a version. */
import { Modal, Select, Stack, Textarea, TextInput } from "@mantine/core";
import { type FormEvent, type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { api, ask, type Schemas } from "@/api/client";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { DialogButtons } from "@/ui/DialogButtons";
import { tell, tellError } from "@/ui/notify";
import { type Model, modelPath, useRefresh, type Version } from "./data";
import { tagChange, type Tags, TagsEditor } from "./Tags";

interface Dialog {
  opened: boolean;
  onClose: () => void;
}

/** The form is made anew at each opening: what is told live meanwhile does not take away what was typed. */
export function EditModel({ model, opened, onClose }: Dialog & { model: Model }) {
  const { t } = useTranslation("models");
  return (
    <Modal opened={opened} onClose={onClose} title={t("edit.model", { name: model.name })} closeButtonProps={{ "aria-label": t("common:close") }}>
      <ModelForm model={model} onClose={onClose} />
    </Modal>
  );
}

export function EditVersion({ version, opened, onClose }: Dialog & { version: Version }) {
  const { t } = useTranslation("models");
  const title = t("edit.version", { name: version.model, number: version.number });
  return (
    <Modal opened={opened} onClose={onClose} title={title} closeButtonProps={{ "aria-label": t("common:close") }}>
      <VersionForm version={version} onClose={onClose} />
    </Modal>
  );
}

function ModelForm({ model, onClose }: { model: Model; onClose: () => void }) {
  const { t } = useTranslation("models");
  const project = useProject().name;
  const navigate = useNavigate();
  const refresh = useRefresh(project);
  const [name, setName] = useState(model.name);
  const save = async (description: string, tags: Tags) => {
    const body: Schemas["ModelUpdate"] = { tags: tagChange(model.tags ?? {}, tags) };
    if (description !== (model.description ?? "")) body.description = description;
    if (name !== model.name) body.name = name;
    await ask(api.PATCH("/api/v1/projects/{project}/models/{model}", { params: { path: { project, model: model.name } }, body }));
    if (name !== model.name) await navigate(modelPath(project, name), { replace: true });
    await refresh(name);
  };
  return (
    <Described about={model} onClose={onClose} save={save} cli={["nacre", "model", "update", model.name, "-m", "…"]}>
      <TextInput label={t("common:name")} value={name} onChange={(event) => setName(event.currentTarget.value)} required />
    </Described>
  );
}

const STAGES = ["None", "Staging", "Production", "Archived"] as const;
type Stage = (typeof STAGES)[number];

function VersionForm({ version, onClose }: { version: Version; onClose: () => void }) {
  const { t } = useTranslation("models");
  const project = useProject().name;
  const refresh = useRefresh(project);
  const [stage, setStage] = useState(version.stage as Stage);
  const save = async (description: string, tags: Tags) => {
    const body: { tags: Record<string, string | null>; description?: string; stage?: Stage } = { tags: tagChange(version.tags ?? {}, tags) };
    if (description !== (version.description ?? "")) body.description = description;
    if (stage !== version.stage) body.stage = stage;
    await ask(
      api.PATCH("/api/v1/projects/{project}/models/{model}/versions/{version}", {
        params: { path: { project, model: version.model, version: String(version.number) } },
        body,
      }),
    );
    await refresh(version.model);
  };
  return (
    <Described about={version} onClose={onClose} save={save} cli={["nacre", "model", "update", `${version.model}/${version.number}`, "-m", "…"]}>
      <Select
        label={t("stage.title")}
        description={t("stage.text")}
        data={STAGES.map((one) => ({ value: one, label: t(`stage.${one}`) }))}
        value={stage}
        onChange={(value) => value && setStage(value as Stage)}
        allowDeselect={false}
      />
    </Described>
  );
}

interface DescribedProps {
  onClose: () => void;
  about: { description?: string; tags?: Tags };
  save: (description: string, tags: Tags) => Promise<void>;
  cli: string[];
  children: ReactNode;
}

function Described({ about, onClose, save, cli, children }: DescribedProps) {
  const { t } = useTranslation("models");
  const [description, setDescription] = useState(about.description ?? "");
  const [tags, setTags] = useState<Tags>(about.tags ?? {});
  const [saving, setSaving] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setSaving(true);
    save(description, tags)
      .then(() => {
        tell(t("edit.saved"));
        onClose();
      }, tellError)
      .finally(() => setSaving(false));
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        {children}
        <Textarea
          label={t("common:description")}
          value={description}
          onChange={(event) => setDescription(event.currentTarget.value)}
          autosize
          minRows={3}
          maxRows={12}
        />
        <TagsEditor tags={tags} onChange={setTags} />
        <Cli words={cli} />
        <DialogButtons action={t("common:save")} busy={saving} cancel={onClose} />
      </Stack>
    </form>
  );
}
