/** A new instance: what it costs is known before it starts. */
import { Alert, Button, MultiSelect, Select, Switch, TextInput } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate, useSearchParams } from "react-router";
import { api, ask, Problem } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { price } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Page } from "@/ui/Page";
import { bodyOf, DEFAULT_IDLE, type Draft, IDLE, mountName, wordsOf, wrongOf } from "./draft";
import { type InstanceType, instanceKey, listKey, listTypes } from "./instance";
import classes from "./instances.module.css";
import { Mounts } from "./Mounts";
import { TypeCards } from "./TypeCards";

export default function NewInstancePage() {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const types = useQuery({ queryKey: ["instance-types"], queryFn: listTypes, staleTime: 60_000 });
  const crumbs = [{ label: t("title"), to: `/p/${project}/instances` }];
  return (
    <Page title={t("create.title")} crumbs={crumbs}>
      {!mayEdit ? (
        <p className="n-soft">{t("create.notYours")}</p>
      ) : types.error && !types.data ? (
        <Failure error={types.error} retry={() => void types.refetch()} />
      ) : types.data ? (
        <Form types={types.data.items} />
      ) : (
        <Loading />
      )}
    </Page>
  );
}

/** What an address such as `?environment=pytorch&data=digits@3` asks for. */
function useAsked(types: InstanceType[]): Draft {
  const [params] = useSearchParams();
  const asked = params.get("type");
  const fits = types.filter((one) => one.available !== false);
  const type = types.find((one) => one.name === asked) ?? fits.find((one) => one.name === "cpu.small") ?? fits[0] ?? types[0];
  const mounts = params.getAll("data").reduce<Draft["mounts"]>((found, path) => [...found, { name: mountName(path.split("@")[0]!, found), path }], []);
  return {
    name: params.get("name") ?? "",
    type: type?.name ?? "cpu.small",
    environment: params.get("environment") ?? "base",
    mounts,
    idle: DEFAULT_IDLE,
    secrets: [],
    start: true,
  };
}

function Form({ types }: { types: InstanceType[] }) {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const client = useQueryClient();
  const navigate = useNavigate();
  const asked = useAsked(types);
  const [draft, setDraft] = useState(asked);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  const put = (change: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...change }));
    setProblem(null);
  };
  const taken = problem instanceof Problem && problem.status === 409 && draft.name !== "";
  const type = types.find((one) => one.name === draft.type);
  const wrong = wrongOf(draft);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const made = await ask(api.POST("/api/v1/projects/{project}/instances", { params: { path: { project } }, body: bodyOf(draft) }));
      client.setQueryData(instanceKey(project, made.name), made);
      void client.invalidateQueries({ queryKey: listKey(project) });
      await navigate(`/p/${project}/instances/${encodeURIComponent(made.name)}`);
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return (
    <form className={classes.columns} onSubmit={(event) => void submit(event)}>
      <div className={classes.form}>
        <Section title={t("create.type")} note={t("create.typeNote")}>
          <TypeCards types={types} value={draft.type} onChange={(next) => put({ type: next })} />
        </Section>
        <Section title={t("create.software")}>
          <div className={classes.two}>
            <EnvironmentChoice value={draft.environment} onChange={(environment) => put({ environment })} />
            <TextInput
              label={t("common:name")}
              description={t("create.nameNote")}
              placeholder={t("create.namePlaceholder", { name: `${draft.environment}-1` })}
              value={draft.name}
              onChange={(event) => put({ name: event.currentTarget.value })}
              error={wrong.name ? t("create.badName") : taken}
              autoComplete="off"
              spellCheck={false}
            />
          </div>
        </Section>
        <Section title={t("create.data")} note={t("create.dataNote")}>
          <Mounts mounts={draft.mounts} onChange={(mounts) => put({ mounts })} error={wrong.mounts && t(`create.${wrong.mounts}`)} />
        </Section>
        <Section title={t("create.more")}>
          <div className={classes.two}>
            <Select
              label={t("idle.timeout")}
              description={t("create.idleNote")}
              data={Object.keys(IDLE).map((value) => ({ value, label: t(`create.idles.${value}`) }))}
              value={draft.idle}
              onChange={(idle) => idle && put({ idle })}
              allowDeselect={false}
            />
            <SecretChoice value={draft.secrets} onChange={(secrets) => put({ secrets })} />
          </div>
          <Switch label={t("create.start")} checked={draft.start} onChange={(event) => put({ start: event.currentTarget.checked })} />
        </Section>
      </div>
      <aside className={classes.side} aria-label={t("create.summary")}>
        <p className={classes.price}>
          <strong>{type ? price(type.price_per_hour, type.currency) : "–"}</strong> <span>{t("create.anHour")}</span>
        </p>
        <p className="n-soft">{t("create.priceNote", { time: t(`create.idles.${draft.idle}`) })}</p>
        {problem !== null && (
          <Alert color="red" variant="outline" p="sm" icon={<IconAlertTriangle size={16} />} role="alert">
            {problem instanceof Error ? problem.message : String(problem)}
          </Alert>
        )}
        <Button type="submit" size="sm" fullWidth loading={busy} disabled={Object.keys(wrong).length > 0 || type?.available === false}>
          {draft.start ? t("create.submit") : t("create.submitOff")}
        </Button>
        <p className="n-soft">{t("create.cli")}</p>
        <Cli words={wordsOf(draft)} wrap />
      </aside>
    </form>
  );
}

function Section({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <section className={classes.section}>
      <h2>{title}</h2>
      {note && <p className="n-soft">{note}</p>}
      {children}
    </section>
  );
}

function EnvironmentChoice({ value, onChange }: { value: string; onChange: (name: string) => void }) {
  const { t } = useTranslation("instances");
  const { t: states } = useTranslation("status");
  const { name: project } = useProject();
  const found = useQuery({
    queryKey: ["environments", project, "choices"],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/environments", { params: { path: { project }, query: { limit: 200 } } })),
  });
  const items = found.data?.items ?? [];
  const chosen = items.find((one) => one.name === value);
  const note = !chosen || chosen.state === "ready" ? undefined : chosen.state === "failed" ? t("create.environmentFailed") : t("create.environmentBuilds");
  return (
    <Select
      label={t("environment")}
      description={note ?? t("create.environmentNote")}
      data={[...new Set([...items.map((one) => one.name), value])]}
      value={value}
      onChange={(next) => next && onChange(next)}
      searchable
      allowDeselect={false}
      nothingFoundMessage={t("create.noEnvironment")}
      renderOption={({ option }) => {
        const one = items.find((item) => item.name === option.value);
        return (
          <span className={classes.option}>
            <span>{option.value}</span>
            {one && <span className="n-soft">{one.state === "ready" ? one.description || states("ready") : `${states(one.state)}${one.description ? ` · ${one.description}` : ""}`}</span>}
          </span>
        );
      }}
    />
  );
}

function SecretChoice({ value, onChange }: { value: string[]; onChange: (names: string[]) => void }) {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const found = useQuery({
    queryKey: ["secrets", project, "choices"],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/secrets", { params: { path: { project } } })),
  });
  const names = (found.data?.items ?? []).map((one) => one.name);
  if (!names.length) return null;
  return <MultiSelect label={t("create.secrets")} description={t("create.secretsNote")} data={names} value={value} onChange={onChange} clearable />;
}
