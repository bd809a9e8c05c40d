/** Datasets that the job gets: under which name, which version, and what frameworks call it. */
import { ActionIcon, Autocomplete, Button, Select, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { useProject } from "@/app/project";
import classes from "./form.module.css";
import type { Path } from "./draft";
import { useDraft } from "./useDraft";

interface Input {
  path: string;
  as?: string;
  type?: string;
  mode?: string;
}

const inputOf = (said: unknown): Input => (typeof said === "object" && said !== null ? { ...(said as Input), path: String((said as Input).path ?? "") } : { path: String(said ?? "") });

/** As short as it can be said: only the path where there is nothing else. */
function written(input: Input): unknown {
  const rest = Object.fromEntries(Object.entries(input).filter(([key, value]) => key !== "path" && value));
  return Object.keys(rest).length ? { path: input.path, ...rest } : input.path;
}

const placeOf = (name: string): Path => ["inputs", name];

const KNOWN = ["mnist", "fashion-mnist", "cifar10", "cifar100", "imdb", "keras:mnist", "torchvision:MNIST", "torchvision:CIFAR10", "mxnet:mnist", "paddle:mnist", "tfds:mnist", "hf:owner/name"];

export function Inputs() {
  const { t } = useTranslation("jobs");
  const { name: project } = useProject();
  const { draft, set, error } = useDraft();
  const datasets = useQuery({
    queryKey: ["data", project, "choices"],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/data", { params: { path: { project }, query: { limit: 200 } } as never })),
  });
  const said = draft.get("inputs");
  const inputs = typeof said === "object" && said !== null ? Object.entries(said as Record<string, unknown>) : [];
  const references = (datasets.data?.items ?? []).flatMap((one) => [one.name, ...[...(one.versions ?? [])].reverse().map((version) => `${one.name}@${version}`)]);
  const rename = (before: string, after: string) => set(["inputs"], Object.fromEntries(inputs.map(([name, value]) => [name === before ? after : name, value])));
  const add = () => {
    const dataset = datasets.data?.items.find((one) => !inputs.some(([name]) => name === one.name));
    let name = dataset?.name ?? "data";
    for (let number = 2; inputs.some(([known]) => known === name); number += 1) name = `${dataset?.name ?? "data"}-${number}`;
    set(placeOf(name), dataset ? `${dataset.name}@${dataset.latest?.number ?? dataset.versions?.at(-1) ?? 1}` : name);
  };
  return (
    <div role="group" aria-label={t("fields.inputs")}>
      {inputs.map(([name, value], index) => {
        const input = inputOf(value);
        const place = placeOf(name);
        const put = (change: Partial<Input>) => set(place, written({ ...input, ...change }));
        return (
          // The name is edited here, so that it cannot be the key.
          <div key={index} className={classes.input}>
            <TextInput label={t("form.inputName")} value={name} onChange={(event) => event.currentTarget.value && rename(name, event.currentTarget.value)} error={error(`inputs.${name}.[key]`)} />
            <Autocomplete size="xs" label={t("form.inputPath")} data={references} value={input.path} onChange={(path) => put({ path })} error={error(`inputs.${name}.path`) ?? error(`inputs.${name}.type`)} limit={50} />
            <Autocomplete size="xs" label={t("form.inputAs")} data={KNOWN} value={input.as ?? ""} onChange={(as) => put({ as })} placeholder={t("common:optional")} error={error(`inputs.${name}.as`)} />
            <Select
              label={t("form.inputType")}
              data={[
                { value: "uri_folder", label: t("form.folder") },
                { value: "uri_file", label: t("form.file") },
              ]}
              value={input.type ?? "uri_folder"}
              onChange={(type) => put({ type: type === "uri_file" ? type : "" })}
              allowDeselect={false}
            />
            <ActionIcon aria-label={t("form.removeInput", { name })} onClick={() => set(place, null)} className={classes.removeInput}>
              <IconTrash size={14} />
            </ActionIcon>
            <p className={classes.where}>{t("form.inputWhere", { code: `\${{inputs.${name}}}` })}</p>
          </div>
        );
      })}
      <Button variant="default" leftSection={<IconPlus size={14} />} onClick={add}>
        {t("form.addInput")}
      </Button>
    </div>
  );
}
