/** What the project is about, whether its work may use the network, and its end. */
import { Button, Group, Radio, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { api, ask, type Schemas } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { PROJECTS } from "@/app/ProjectSwitch";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { tell, tellError } from "@/ui/notify";
import classes from "./Settings.module.css";

type Network = Schemas["Project"]["network"];
const NETWORKS = ["none", "packages", "full"] as const satisfies readonly Network[];

export function General() {
  const { t } = useTranslation(["settings", "common"]);
  const project = useProject();
  const may = useMay("owner");
  const client = useQueryClient();
  const [description, setDescription] = useState(project.description ?? "");
  const [network, setNetwork] = useState<Network>(project.network);
  const save = useMutation({
    mutationFn: () =>
      ask(api.PATCH("/api/v1/projects/{project}", { params: { path: { project: project.name } }, body: { description, network } })),
    onSuccess: async (saved) => {
      client.setQueryData(["project", project.name], saved);
      await client.invalidateQueries({ queryKey: PROJECTS });
      tell(t("general.saved"));
    },
    onError: tellError,
  });
  const changed = description !== (project.description ?? "") || network !== project.network;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <Stack gap="xl" className={classes.narrow}>
      <form onSubmit={submit}>
        <Stack gap="lg">
          <TextInput
            label={t("common:description")}
            value={description}
            onChange={(event) => setDescription(event.currentTarget.value)}
            readOnly={!may}
            maxLength={4096}
          />
          <Radio.Group label={t("network.title")} description={t("network.text")} value={network} onChange={(value) => may && setNetwork(value as Network)}>
            <Stack gap="sm" mt="sm">
              {NETWORKS.map((one) => (
                <Radio key={one} value={one} label={t(`network.${one}`)} description={t(`network.${one}Text`)} disabled={!may && network !== one} />
              ))}
            </Stack>
          </Radio.Group>
          {may && (
            <Group gap="sm">
              <Button type="submit" disabled={!changed} loading={save.isPending}>
                {t("common:save")}
              </Button>
              <Cli words={["nacre", "project", "update", project.name, "--network", network, ...(description ? ["--description", description] : [])]} />
            </Group>
          )}
        </Stack>
      </form>
      {may && <Danger />}
    </Stack>
  );
}

function Danger() {
  const { t } = useTranslation(["settings", "common"]);
  const project = useProject();
  const confirm = useConfirm();
  const client = useQueryClient();
  const go = useNavigate();
  const [refused, setRefused] = useState<string | null>(null);
  const remove = useMutation({
    mutationFn: () => ask(api.DELETE("/api/v1/projects/{project}", { params: { path: { project: project.name } } })),
    onSuccess: async () => {
      tell(t("danger.deleted", { name: project.name }));
      await go("/projects");
      await client.invalidateQueries({ queryKey: PROJECTS });
    },
    onError: (error) => setRefused(error.message),
  });
  const begin = async () => {
    setRefused(null);
    const yes = await confirm({
      title: t("danger.question", { name: project.name }),
      lost: t("danger.lost"),
      action: t("common:delete"),
      typed: project.name,
    });
    if (yes) remove.mutate();
  };
  return (
    <section className={classes.danger} aria-labelledby="danger">
      <h2 id="danger">{t("danger.title")}</h2>
      <p>{t("danger.text")}</p>
      {refused && (
        <p role="alert" className={classes.refused}>
          {refused}
        </p>
      )}
      <Group gap="sm">
        <Button color="red" variant="outline" onClick={() => void begin()} loading={remove.isPending}>
          {t("danger.button")}
        </Button>
        <Cli words={["nacre", "project", "delete", project.name]} />
      </Group>
    </section>
  );
}
