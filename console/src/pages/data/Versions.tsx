/** Every version of a dataset: its note, who made it, and the way to delete it. */
import { ActionIcon, Button, Group, Modal, Stack, Textarea, Tooltip } from "@mantine/core";
import { IconPencil, IconTrash } from "@tabler/icons-react";
import { useQueries, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { api, ask } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { type Column, DataTable } from "@/ui/DataTable";
import { DialogButtons } from "@/ui/DialogButtons";
import { bytes } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { tell, tellError } from "@/ui/notify";
import { type Dataset, refresh, type Version, versionQuery } from "./dataset";

const FIRST = 30;

export function Versions({ dataset, current }: { dataset: Dataset; current: number }) {
  const { t, i18n } = useTranslation("data");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const [most, setMost] = useState(FIRST);
  const [noted, setNoted] = useState<Version | null>(null);
  const remove = useRemove(dataset, current);
  const numbers = [...(dataset.versions ?? [])].reverse();
  const found = useQueries({ queries: numbers.slice(0, most).map((one) => versionQuery(project, dataset.name, one)) });
  const versions = found.flatMap((one) => one.data ?? []);
  if (!versions.length && found.some((one) => one.isPending)) return <Loading />;
  const columns: Column<Version>[] = [
    { key: "version", label: t("common:version"), cell: (one) => `@${String(one.number)}` },
    { key: "note", label: t("note"), cell: (one) => <span title={one.note}>{one.note ?? ""}</span> },
    { key: "files", label: t("common:files"), cell: (one) => new Intl.NumberFormat(i18n.language).format(one.files), numeric: true, wide: true },
    { key: "size", label: t("common:size"), cell: (one) => bytes(one.size), numeric: true },
    {
      key: "created",
      label: t("common:created"),
      cell: (one) => <Moment iso={one.created_at} />,
      wide: true,
    },
    { key: "user", label: t("common:user"), cell: (one) => one.user ?? "–", wide: true },
    {
      key: "manifest",
      label: t("manifest"),
      cell: (one) => (
        <span className="n-mono" title={one.manifest}>
          {one.manifest.slice(0, 12)}
        </span>
      ),
      wide: true,
    },
    ...(mayEdit
      ? [
          {
            key: "actions",
            label: t("common:actions"),
            width: 80,
            actions: true,
            cell: (one: Version) => (
              <Group gap={4} wrap="nowrap">
                <Tooltip label={t("editNote")}>
                  <ActionIcon aria-label={t("editNoteOf", { version: one.number })} onClick={() => setNoted(one)}>
                    <IconPencil size={14} />
                  </ActionIcon>
                </Tooltip>
                <Tooltip label={t("common:delete")}>
                  <ActionIcon aria-label={t("deleteOne.of", { version: one.number })} onClick={() => void remove(one)}>
                    <IconTrash size={14} />
                  </ActionIcon>
                </Tooltip>
              </Group>
            ),
          },
        ]
      : []),
  ];
  return (
    <Stack gap="md">
      <DataTable
        label={t("tabs.versions")}
        rows={versions}
        columns={columns}
        id={(one) => String(one.number)}
        to={(one) => `/p/${project}/data/${dataset.name}?version=${String(one.number)}`}
      />
      {numbers.length > most && (
        <Button variant="default" style={{ alignSelf: "start" }} onClick={() => setMost(most + 4 * FIRST)}>
          {t("common:showMore")}
        </Button>
      )}
      {mayEdit && (
        <Group gap="sm">
          <Cli words={["nacre", "data", "show", dataset.name]} />
        </Group>
      )}
      <Note version={noted} close={() => setNoted(null)} />
    </Stack>
  );
}

function Note({ version, close }: { version: Version | null; close: () => void }) {
  const { t } = useTranslation("data");
  return (
    <Modal
      opened={version !== null}
      onClose={close}
      title={version ? t("editNoteOf", { version: version.number }) : ""}
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      {version && <NoteForm key={version.id} version={version} close={close} />}
    </Modal>
  );
}

function NoteForm({ version, close }: { version: Version; close: () => void }) {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const client = useQueryClient();
  const [text, setText] = useState(version.note ?? "");
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      await ask(
        api.PATCH("/api/v1/projects/{project}/data/{dataset}/versions/{version}", {
          params: { path: { project, dataset: version.dataset, version: String(version.number) } },
          body: { note: text },
        }),
      );
      refresh(client, project);
      close();
    } catch (error) {
      tellError(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <Stack gap="md">
        <Textarea
          label={t("note")}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          autosize
          minRows={3}
          maxRows={12}
          maxLength={4096}
          data-autofocus
        />
        <Cli words={["nacre", "data", "note", `${version.dataset}@${String(version.number)}`, text]} />
        <DialogButtons action={t("common:save")} busy={busy} cancel={close} />
      </Stack>
    </form>
  );
}

function useRemove(dataset: Dataset, current: number): (version: Version) => Promise<void> {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const confirm = useConfirm();
  const client = useQueryClient();
  const navigate = useNavigate();
  return async (version) => {
    const last = dataset.versions?.length === 1;
    const facts = { count: version.files, size: bytes(version.size) };
    const yes = await confirm({
      title: t("deleteOne.title", { ref: `${dataset.name}@${String(version.number)}` }),
      lost: last ? t("deleteOne.lostLast", facts) : t("deleteOne.lost", facts),
      action: t("common:delete"),
    });
    if (!yes) return;
    try {
      await ask(
        api.DELETE("/api/v1/projects/{project}/data/{dataset}/versions/{version}", {
          params: { path: { project, dataset: dataset.name, version: String(version.number) } },
        }),
      );
      tell(t("deleted", { name: `${dataset.name}@${String(version.number)}` }));
      if (last) await navigate(`/p/${project}/data`);
      else if (version.number === current) await navigate(`/p/${project}/data/${dataset.name}?tab=versions`);
      refresh(client, project);
    } catch (error) {
      tellError(error);
    }
  };
}
