import { Autocomplete, Button, Group, Modal, Select, Stack, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { api, ask, type Schemas } from "@/api/client";
import { Cli } from "@/ui/Cli";
import { tell, tellError } from "@/ui/notify";

interface Props {
  project: string;
  run: Schemas["Run"];
  path: string;
  /** The folder that the file is in, which may be the model: a SavedModel, an MLflow model. */
  folder: string | null;
  opened: boolean;
  close: () => void;
}

/** A file, or its folder, becomes the next version of a model. */
export function RegisterModel({ opened, close, ...rest }: Props) {
  const { t } = useTranslation("runs");
  return (
    <Modal opened={opened} onClose={close} title={t("register.title")} closeButtonProps={{ "aria-label": t("common:close") }}>
      {opened && <Fields {...rest} />}
    </Modal>
  );
}

function Fields({ project, run, path, folder }: Omit<Props, "opened" | "close">) {
  const { t } = useTranslation("runs");
  const navigate = useNavigate();
  const [model, setModel] = useState("");
  const [what, setWhat] = useState(path);
  const [alias, setAlias] = useState("");
  const [description, setDescription] = useState("");
  const models = useQuery({
    queryKey: ["models", project],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/models", { params: { path: { project } } })),
  });
  const register = useMutation({
    mutationFn: () =>
      ask(
        api.POST("/api/v1/projects/{project}/models/{model}/versions", {
          params: { path: { project, model: model.trim() } },
          body: { run: run.id, path: what, alias: alias.trim() || null, description, tags: {} },
        }),
      ),
    onSuccess: async (version) => {
      tell(t("register.done", { model: model.trim(), version: version.number }));
      await navigate(`/p/${project}/models/${encodeURIComponent(model.trim())}?version=${version.number}`);
    },
    onError: tellError,
  });
  const words = ["nacre", "model", "register", `${run.id.slice(0, 8)}:${what}`, "--name", model.trim() || "MODEL"];
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        register.mutate();
      }}
    >
      <Stack gap="md">
        <Autocomplete
          size="xs"
          label={t("register.model")}
          description={t("register.modelText")}
          data={(models.data?.items ?? []).map((one) => one.name)}
          value={model}
          onChange={setModel}
          required
          data-autofocus
        />
        {folder === null ? (
          <TextInput label={t("register.path")} value={path} readOnly />
        ) : (
          <Select
            label={t("register.path")}
            value={what}
            onChange={(value) => value && setWhat(value)}
            data={[
              { value: path, label: path },
              { value: folder, label: t("register.folder", { path: folder }) },
            ]}
            allowDeselect={false}
          />
        )}
        <TextInput label={t("register.alias")} placeholder={t("register.aliasExample")} value={alias} onChange={(event) => setAlias(event.currentTarget.value)} />
        <Textarea label={t("common:description")} value={description} onChange={(event) => setDescription(event.currentTarget.value)} autosize minRows={2} />
        <Cli words={words} />
        <Group justify="flex-end">
          <Button type="submit" loading={register.isPending} disabled={!model.trim()}>
            {t("register.action")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
