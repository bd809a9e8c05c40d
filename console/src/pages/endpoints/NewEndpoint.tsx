/** Deploy a model version: to a new endpoint, or as the next revision of one that is there. */
import { Alert, Button, Group, NumberInput, Select, Stack, TextInput } from "@mantine/core";
import { IconRocket } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useSearchParams } from "react-router";
import { api, ask } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { useModels, useVersions, type Version } from "@/pages/models/data";
import { score } from "@/pages/models/measures";
import { Cli } from "@/ui/Cli";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { bytes, money, price } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { tell, tellError } from "@/ui/notify";
import { Page } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { type Endpoint, endpointKey, endpointPath, type InstanceType, useEndpoints } from "./data";
import classes from "./endpoints.module.css";

const NAME = /^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/;
const HOURS_A_MONTH = 730;
const DEFAULT_TYPE = "cpu.small";
const SCALING: Endpoint["scaling"] = { min_replicas: 1, max_replicas: 1, target: 4, idle_s: 300, schedules: [] };

/** A model's name as an endpoint's: what is left of it in small letters. */
export function endpointName(model: string): string {
  const word = model.toLowerCase().replace(/[^a-z0-9._-]+/g, "-").replace(/^[._-]+|[._-]+$/g, "");
  return word.slice(0, 64).replace(/[._-]+$/, "");
}

export function NewEndpoint() {
  const { t } = useTranslation("endpoints");
  const project = useProject();
  const editor = useMay("editor");
  const [params] = useSearchParams();
  const endpoints = useEndpoints(project.name);
  const models = useModels(project.name);
  const types = useQuery({ queryKey: ["instance-types"], queryFn: () => ask(api.GET("/api/v1/instance-types")) });
  const existing = params.get("endpoint");
  const crumbs = [{ label: t("title"), to: `/p/${project.name}/endpoints` }];
  if (existing) crumbs.push({ label: existing, to: endpointPath(project.name, existing) });
  const error = endpoints.error ?? models.error ?? types.error;
  const retry = () => {
    void endpoints.refetch();
    void models.refetch();
    void types.refetch();
  };
  const loaded = endpoints.data && models.data && types.data;
  const convertible = models.data?.items.filter((model) => model.latest) ?? [];
  return (
    <Page title={existing ? t("deploy.again", { name: existing }) : t("deploy.new")} crumbs={crumbs}>
      {!editor && <Alert variant="outline">{t("deploy.notAllowed")}</Alert>}
      {error && !loaded && <Failure error={error} retry={retry} />}
      {!error && !loaded && <Loading />}
      {loaded && !convertible.length && (
        <Empty title={t("deploy.noModels")} cli={["nacre", "model", "register", "RUN:model.pt", "--name", "digits"]}>
          {t("deploy.noModelsText")}
        </Empty>
      )}
      {editor && loaded && convertible.length > 0 && (
        <DeployForm
          models={convertible.map((model) => model.name)}
          types={types.data.items.filter((type) => !type.gpu)}
          endpoints={endpoints.data.items}
          fixedName={existing}
        />
      )}
    </Page>
  );
}

interface FormProps {
  models: string[];
  types: InstanceType[];
  endpoints: Endpoint[];
  fixedName: string | null;
}

function DeployForm({ models, types, endpoints, fixedName }: FormProps) {
  const { t } = useTranslation("endpoints");
  const project = useProject().name;
  const navigate = useNavigate();
  const client = useQueryClient();
  const [params, setParams] = useSearchParams();
  const of = endpoints.find((one) => one.name === fixedName);
  const asked = params.get("model") ?? of?.model ?? models[0]!;
  const model = models.includes(asked) ? asked : models[0]!;
  const versions = useVersions(project, model);
  const version = params.get("version") ?? likely(versions.data?.items ?? []);
  const [typed, setTyped] = useState<string | null>(null);
  const name = fixedName ?? typed ?? endpointName(model);
  const there = endpoints.find((one) => one.name === name);
  const [chosenType, setType] = useState<string | null>(null);
  const typeName = chosenType ?? there?.type ?? types.find((type) => type.name === DEFAULT_TYPE)?.name ?? types[0]?.name ?? DEFAULT_TYPE;
  const type = types.find((one) => one.name === typeName);
  const [share, setShare] = useState(100);
  const [least, setLeast] = useState<number | null>(null);
  const [most, setMost] = useState<number | null>(null);
  const [sending, setSending] = useState(false);
  const set = (change: Record<string, string>) =>
    setParams((before) => {
      const after = new URLSearchParams(before);
      for (const [key, value] of Object.entries(change)) {
        if (value) after.set(key, value);
        else after.delete(key);
      }
      return after;
    }, { replace: true });
  const meant = find(versions.data?.items ?? [], version);
  const nameOk = NAME.test(name);
  const scaling = there?.scaling ?? SCALING;
  const bounds = { min_replicas: least ?? scaling.min_replicas, max_replicas: most ?? scaling.max_replicas };
  const boundsOk = bounds.min_replicas <= bounds.max_replicas;
  const canary = there && share < 100 ? { traffic: share } : {};
  const scaled = least === null && most === null ? {} : { scaling: { ...scaling, ...bounds } };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setSending(true);
    try {
      const found = await ask(
        api.PUT("/api/v1/projects/{project}/endpoints/{endpoint}", {
          params: { path: { project, endpoint: name } },
          body: { model, version, type: typeName, runtime: "auto", shadow: 0, ...canary, ...scaled },
        }),
      );
      client.setQueryData(endpointKey(project, name), found);
      void client.invalidateQueries({ queryKey: ["endpoints", project] });
      tell(t("deploy.started", { name, version: `${found.model}/${found.version}` }));
      await navigate(endpointPath(project, name));
    } catch (error) {
      tellError(error);
    } finally {
      setSending(false);
    }
  };
  const reference = version === "latest" ? model : /^\d+$/.test(version) ? `${model}/${version}` : `${model}@${version}`;
  const words = ["nacre", "deploy", reference, "--name", name || "NAME"];
  if (typeName !== DEFAULT_TYPE) words.push("--type", typeName);
  if (canary.traffic !== undefined) words.push("--traffic", String(canary.traffic));
  if (scaled.scaling) words.push("--min", String(bounds.min_replicas), "--max", String(bounds.max_replicas));
  return (
    <form className={classes.form} onSubmit={(event) => void submit(event)}>
      <Stack gap="lg">
        <Group gap="md" align="flex-start" grow>
          <Select
            label={t("model")}
            data={models}
            value={model}
            onChange={(value) => value && set({ model: value, version: "" })}
            searchable
            allowDeselect={false}
          />
          <Select
            label={t("common:version")}
            data={versionChoices(versions.data?.items ?? [], t("deploy.latest"))}
            value={version}
            onChange={(value) => value && set({ version: value })}
            allowDeselect={false}
          />
        </Group>
        {meant && <VersionLine version={meant} />}
        <TextInput
          label={t("deploy.name")}
          description={t("deploy.nameText")}
          value={name}
          onChange={(event) => setTyped(event.currentTarget.value)}
          error={nameOk ? null : t("deploy.badName")}
          disabled={fixedName !== null}
          required
        />
        {there && (
          <Alert variant="outline" title={t("deploy.thereTitle", { name })}>
            {t("deploy.there", { version: `${there.model}/${there.version}` })}
          </Alert>
        )}
        <Select
          label={t("deploy.type")}
          description={t("deploy.typeText")}
          data={types.map((one) => ({
            value: one.name,
            label: t("deploy.typeLine", { name: one.name, cpu: one.cpu, memory: bytes(one.memory), price: price(one.price_per_hour, one.currency) }),
          }))}
          value={typeName}
          onChange={setType}
          allowDeselect={false}
        />
        {type && (
          <p className={classes.price}>
            {t("deploy.price", { hour: price(type.price_per_hour, type.currency), month: money(type.price_per_hour * HOURS_A_MONTH, type.currency) })}
          </p>
        )}
        {there && (
          <NumberInput
            label={t("deploy.share")}
            description={t("deploy.shareText")}
            value={share}
            onChange={(value) => setShare(Number(value) || 0)}
            min={0}
            max={100}
            allowDecimal={false}
            suffix=" %"
          />
        )}
        <Group gap="md" align="flex-start" grow>
          <NumberInput
            label={t("deploy.least")}
            description={t("deploy.leastText")}
            value={bounds.min_replicas}
            onChange={(value) => setLeast(Number(value) || 0)}
            error={boundsOk ? null : t("deploy.badBounds")}
            min={0}
            max={64}
            allowDecimal={false}
          />
          <NumberInput
            label={t("deploy.most")}
            description={t("deploy.mostText")}
            value={bounds.max_replicas}
            onChange={(value) => setMost(Number(value) || 1)}
            min={1}
            max={64}
            allowDecimal={false}
          />
        </Group>
        <Cli words={words} />
        <Group gap="sm">
          <Button type="submit" leftSection={<IconRocket size={14} />} disabled={!nameOk || !boundsOk || !meant || converting(meant)} loading={sending}>
            {there ? t("deploy.revision") : t("deploy.deploy")}
          </Button>
          <Button variant="default" component={Link} to={fixedName ? endpointPath(project, fixedName) : `/p/${project}/endpoints`}>
            {t("common:cancel")}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** Whether it is not known yet how the version can be served. */
function converting(version: Version): boolean {
  return version.conversion === "pending" || version.conversion === "converting";
}

/** The newest version, or where that one cannot be served, the newest that can. */
function likely(versions: Version[]): string {
  const ready = versions.find((one) => one.conversion === "ready");
  return ready && ready !== versions[0] ? String(ready.number) : "latest";
}

/** The version that a number, an alias or `latest` means. */
function find(versions: Version[], asked: string): Version | null {
  if (asked === "latest") return versions[0] ?? null;
  return versions.find((one) => String(one.number) === asked || (one.aliases ?? []).includes(asked)) ?? null;
}

function versionChoices(versions: Version[], latest: string): { value: string; label: string }[] {
  const newest = versions[0];
  if (!newest) return [{ value: "latest", label: latest }];
  const aliases = versions.flatMap((version) => (version.aliases ?? []).map((alias) => ({ value: alias, label: `@${alias} (${version.number})` })));
  return [
    { value: "latest", label: `${latest} (${newest.number})` },
    ...aliases,
    ...versions.map((version) => ({ value: String(version.number), label: String(version.number) })),
  ];
}

function VersionLine({ version }: { version: Version }) {
  const { t } = useTranslation("endpoints");
  const project = useProject().name;
  const measured = version.evaluations?.find((one) => one.state === "succeeded");
  return (
    <div className={classes.line}>
      <Status state={version.conversion} title={version.message} />
      <span>{`${version.model}/${version.number}`}</span>
      <span className="n-soft">{version.framework}</span>
      {measured && <span className="n-soft">{t("deploy.measured", { accuracy: score(measured.accuracy), data: measured.data })}</span>}
      {version.conversion !== "ready" && (
        <span>
          {converting(version) ? t("deploy.notReady") : t("deploy.replicas")}{" "}
          {version.conversion_job && <Link to={`/p/${project}/jobs/${version.conversion_job}`}>{version.conversion_job}</Link>}
        </span>
      )}
    </div>
  );
}
