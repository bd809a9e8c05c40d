/** Dataset versions that the instance gets, read-only. */
import { ActionIcon, Autocomplete, Button, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { useProject } from "@/app/project";
import { type Mount, mountName } from "./draft";
import classes from "./instances.module.css";

interface Props {
  mounts: Mount[];
  onChange: (mounts: Mount[]) => void;
  error?: string | undefined;
}

export function Mounts({ mounts, onChange, error }: Props) {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const found = useQuery({
    queryKey: ["data", project, "choices"],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/data", { params: { path: { project }, query: { limit: 200 } } as never })),
  });
  const datasets = found.data?.items ?? [];
  const references = datasets.flatMap((one) => [one.name, ...[...(one.versions ?? [])].reverse().map((version) => `${one.name}@${String(version)}`)]);
  const put = (index: number, change: Partial<Mount>) => onChange(mounts.map((one, i) => (i === index ? { ...one, ...change } : one)));
  const choose = (index: number, path: string) => {
    const before = mounts[index]!;
    const named = before.name === "" || before.name === before.path.split("@")[0];
    const others = mounts.filter((_, i) => i !== index);
    put(index, { path, ...(named ? { name: mountName(path.split("@")[0]!, others) } : {}) });
  };
  const add = () => {
    const next = datasets.find((one) => !mounts.some((mount) => mount.path.split("@")[0] === one.name));
    const newest = next?.latest?.number ?? next?.versions?.at(-1);
    const path = next ? (newest === undefined ? next.name : `${next.name}@${String(newest)}`) : "";
    onChange([...mounts, { name: next ? mountName(next.name, mounts) : "", path }]);
  };
  if (found.data && datasets.length === 0 && mounts.length === 0) return <p className="n-soft">{t("create.noDatasets")}</p>;
  return (
    <div role="group" aria-label={t("create.data")} className={classes.mountRows}>
      {mounts.map((mount, index) => (
        // The name is edited here, so that it cannot be the key.
        <div key={index} className={classes.mountRow}>
          <Autocomplete
            size="xs"
            label={t("overview.dataset")}
            data={references}
            value={mount.path}
            onChange={(path) => choose(index, path)}
            limit={50}
          />
          <TextInput
            label={t("overview.path")}
            leftSection={<span className={classes.prefix}>/data/</span>}
            leftSectionWidth={52}
            value={mount.name}
            onChange={(event) => put(index, { name: event.currentTarget.value })}
            spellCheck={false}
          />
          <ActionIcon aria-label={t("create.removeMount", { name: mount.name || mount.path })} onClick={() => onChange(mounts.filter((_, i) => i !== index))}>
            <IconTrash size={14} />
          </ActionIcon>
        </div>
      ))}
      {error && (
        <p className={classes.error} role="alert">
          {error}
        </p>
      )}
      <Button variant="default" leftSection={<IconPlus size={14} />} onClick={add} style={{ alignSelf: "start" }}>
        {t("create.addMount")}
      </Button>
    </div>
  );
}
