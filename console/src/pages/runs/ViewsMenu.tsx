/** Saved views of this page: what its address says, by name, for oneself or for the project. */
import { Button, Checkbox, Group, Menu, Modal, Stack, Text, TextInput } from "@mantine/core";
import { IconBookmark, IconTrash, IconUsers } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useLocation, useNavigate } from "react-router";
import { api, ask, type Schemas } from "@/api/client";
import { useMay } from "@/app/project";
import { useUser } from "@/app/session";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { tell, tellError } from "@/ui/notify";

type View = Schemas["View"];

export function ViewsMenu({ project, page }: { project: string; page: string }) {
  const { t } = useTranslation("runs");
  const [saving, setSaving] = useState(false);
  const navigate = useNavigate();
  const place = useLocation();
  const user = useUser();
  const key = ["views", project, page];
  const views = useQuery({
    queryKey: key,
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/views", { params: { path: { project }, query: { page, limit: 500 } } })),
  });
  const items = [...(views.data?.items ?? [])].sort((a, b) => a.name.localeCompare(b.name));
  const here = place.search.replace(/^\?/, "");
  const current = items.find((view) => view.query === here);
  return (
    <>
      <Menu position="bottom-end" withinPortal width={280}>
        <Menu.Target>
          <Button variant="default" leftSection={<IconBookmark size={14} />}>
            {current ? current.name : t("views.title")}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {items.length === 0 && <Menu.Label>{t("views.none")}</Menu.Label>}
          {items.map((view) => (
            <Entry key={`${view.user} ${view.name}`} {...{ view, project }} mine={view.user === user.name} open={() => navigate({ search: view.query })} />
          ))}
          <Menu.Divider />
          <Menu.Item onClick={() => navigate({ search: "" })}>{t("views.reset")}</Menu.Item>
          <Menu.Item onClick={() => setSaving(true)}>{t("views.save")}</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal opened={saving} onClose={() => setSaving(false)} title={t("views.save")} closeButtonProps={{ "aria-label": t("common:close") }}>
        <Save {...{ project, page }} query={here} mine={items.filter((view) => view.user === user.name)} done={() => setSaving(false)} />
      </Modal>
    </>
  );
}

function Entry({ view, project, mine, open }: { view: View; project: string; mine: boolean; open: () => void }) {
  const { t } = useTranslation("runs");
  const client = useQueryClient();
  const confirm = useConfirm();
  const owner = useMay("owner");
  const remove = useMutation({
    mutationFn: () =>
      ask(
        api.DELETE("/api/v1/projects/{project}/views/{view}", {
          params: { path: { project, view: view.name }, query: { user: mine ? null : view.user } },
        }),
      ),
    onSuccess: () => client.invalidateQueries({ queryKey: ["views", project] }),
    onError: tellError,
  });
  const asked = async () => {
    const lost = view.shared ? t("views.lostShared") : t("views.lost");
    if (await confirm({ title: t("views.deleteTitle", { name: view.name }), lost, action: t("common:delete") })) remove.mutate();
  };
  return (
    <Group gap={0} wrap="nowrap">
      <Menu.Item onClick={open} rightSection={view.shared ? <IconUsers size={14} aria-label={t("views.sharedBy", { user: view.user })} /> : null}>
        <Text size="sm" truncate maw={180}>
          {view.name}
        </Text>
      </Menu.Item>
      {(mine || owner) && (
        <Menu.Item w="auto" px={8} onClick={() => void asked()} aria-label={t("views.deleteTitle", { name: view.name })}>
          <IconTrash size={14} style={{ display: "block" }} />
        </Menu.Item>
      )}
    </Group>
  );
}

function Save({ project, page, query, mine, done }: { project: string; page: string; query: string; mine: View[]; done: () => void }) {
  const { t } = useTranslation("runs");
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [shared, setShared] = useState(false);
  const editor = useMay("editor");
  const save = useMutation({
    mutationFn: () =>
      ask(
        api.PUT("/api/v1/projects/{project}/views/{view}", {
          params: { path: { project, view: name.trim() } },
          body: { page, query, shared },
        }),
      ),
    onSuccess: async (view) => {
      await client.invalidateQueries({ queryKey: ["views", project] });
      tell(t("views.saved", { name: view.name }));
      done();
    },
    onError: tellError,
  });
  const replaces = mine.some((view) => view.name === name.trim());
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Stack gap="md">
        <TextInput label={t("common:name")} value={name} onChange={(event) => setName(event.currentTarget.value)} maxLength={100} required data-autofocus description={replaces ? t("views.replaces") : t("views.keeps")} />
        {editor && <Checkbox label={t("views.share")} checked={shared} onChange={(event) => setShared(event.currentTarget.checked)} />}
        <Cli words={["nacre", "views", "set", name.trim() || "NAME", query, ...(shared ? ["--shared"] : [])]} />
        <Group justify="flex-end" gap="sm">
          <Button type="submit" loading={save.isPending} disabled={!name.trim() || name.includes("/")}>
            {t("common:save")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
