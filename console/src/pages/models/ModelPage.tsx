/** A model: its versions, one of them in full, their evaluations, where it comes from. */
import { ActionIcon, Button, Menu, Select } from "@mantine/core";
import { IconDots, IconDownload, IconPencil, IconRocket, IconTargetArrow, IconTrash } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { api, ask } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { LineageGraph } from "@/ui/LineageGraph";
import { Loading } from "@/ui/Loading";
import { tell, tellError } from "@/ui/notify";
import { Page, type Tab } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { useUrlState } from "@/ui/useUrlState";
import { CompareTab } from "./CompareTab";
import { type Model, useModel, useRefresh, useVersions, type Version, versionApi } from "./data";
import { EditModel } from "./EditModel";
import { EvaluateDialog } from "./EvaluateDialog";
import { EvaluationsTab } from "./EvaluationsTab";
import { dataOf, score } from "./measures";
import classes from "./models.module.css";
import { TagPills } from "./Tags";
import { VersionsTab } from "./VersionsTab";
import { VersionTab } from "./VersionTab";

export function ModelPage() {
  const { t } = useTranslation("models");
  const project = useProject();
  const name = useParams().model!;
  const model = useModel(project.name, name);
  const versions = useVersions(project.name, name);
  const crumbs = [{ label: t("list.title"), to: `/p/${project.name}/models` }];
  const error = model.error ?? versions.error;
  if (error && !(model.data && versions.data)) {
    return (
      <Page title={name} crumbs={crumbs}>
        <Failure
          error={error}
          retry={() => {
            void model.refetch();
            void versions.refetch();
          }}
        />
      </Page>
    );
  }
  if (!model.data || !versions.data) {
    return (
      <Page title={name} crumbs={crumbs}>
        <Loading />
      </Page>
    );
  }
  return <Loaded model={model.data} versions={versions.data.items} crumbs={crumbs} />;
}

function Loaded({ model, versions, crumbs }: { model: Model; versions: Version[]; crumbs: { label: string; to: string }[] }) {
  const { t } = useTranslation("models");
  const project = useProject();
  const editor = useMay("editor");
  const [asked, setAsked] = useUrlState("version");
  const [editing, setEditing] = useState(false);
  const [evaluating, setEvaluating] = useState(false);
  const version = find(versions, asked) ?? versions[0] ?? null;
  const chooser = version && (
    <Select
      label={t("common:version")}
      data={versions.map((one) => ({ value: String(one.number), label: versionWord(one) }))}
      value={String(version.number)}
      onChange={(value) => value && setAsked(value === String(versions[0]?.number) ? "" : value)}
      allowDeselect={false}
      w={200}
    />
  );
  const tabs: Tab[] = [];
  if (version) {
    tabs.push(
      { value: "versions", label: t("tabs.versions"), content: () => <VersionsTab model={model} versions={versions} described={<Described model={model} />} /> },
      { value: "version", label: t("tabs.version", { number: version.number }), content: () => <VersionTab version={version} chooser={chooser} /> },
      {
        value: "evaluations",
        label: t("tabs.evaluations"),
        content: () => <EvaluationsTab version={version} chooser={chooser} onEvaluate={() => setEvaluating(true)} />,
      },
    );
    if (versions.length > 1 && dataOf(versions).length > 0) {
      tabs.push({ value: "compare", label: t("tabs.compare"), content: () => <CompareTab versions={versions} /> });
    }
    tabs.push({
      value: "lineage",
      label: t("tabs.lineage"),
      content: () => (
        <div className={classes.stack}>
          <div className={classes.bar}>{chooser}</div>
          <LineageGraph project={project.name} subject={`model:${model.name}/${version.number}`} />
        </div>
      ),
    });
  }
  return (
    <>
      <Page
        title={model.name}
        crumbs={crumbs}
        status={version && <Status state={version.conversion} title={version.message} />}
        facts={<Facts model={model} version={version} />}
        actions={<Actions model={model} version={version} onEdit={() => setEditing(true)} onEvaluate={() => setEvaluating(true)} />}
        cli={
          version && (
            <>
              {version.conversion === "ready" && <Cli words={["nacre", "deploy", `${model.name}/${version.number}`]} />}
              <Cli words={["nacre", "model", "pull", `${model.name}/${version.number}`]} />
            </>
          )
        }
        tabs={tabs.length ? tabs : undefined}
      >
        {!version && <Described model={model} />}
        {!version && (
          <Empty title={t("noVersions")} cli={["nacre", "model", "register", "RUN:model.pt", "--name", model.name]}>
            {t("noVersionsText")}
          </Empty>
        )}
      </Page>
      {editor && <EditModel model={model} opened={editing} onClose={() => setEditing(false)} />}
      {editor && version && <EvaluateDialog versions={versions} version={version} opened={evaluating} onClose={() => setEvaluating(false)} />}
    </>
  );
}

function Described({ model }: { model: Model }) {
  if (!model.description && !Object.keys(model.tags ?? {}).length) return null;
  return (
    <div className={classes.section}>
      {model.description && <p className={classes.described}>{model.description}</p>}
      <TagPills tags={model.tags ?? {}} />
    </div>
  );
}

/** The version of a number or an alias. */
function find(versions: Version[], asked: string): Version | null {
  if (!asked) return null;
  return versions.find((one) => String(one.number) === asked || (one.aliases ?? []).includes(asked)) ?? null;
}

function versionWord(version: Version): string {
  const aliases = (version.aliases ?? []).map((alias) => `@${alias}`).join(" ");
  return aliases ? `${version.number} ${aliases}` : String(version.number);
}

function Facts({ model, version }: { model: Model; version: Version | null }): ReactNode {
  const { t } = useTranslation("models");
  const latest = model.latest?.number;
  return (
    <>
      {version && <span>{version.number === latest ? t("facts.latest", { number: version.number }) : t("facts.version", { number: version.number, latest })}</span>}
      {Object.entries(model.aliases ?? {}).map(([alias, number]) => (
        <span key={alias}>{t("facts.alias", { alias, number })}</span>
      ))}
      {version && <span>{version.framework}</span>}
      {model.best && <span>{t("facts.best", { accuracy: score(model.best.accuracy), data: model.best.data })}</span>}
    </>
  );
}

interface ActionsProps {
  model: Model;
  version: Version | null;
  onEdit: () => void;
  onEvaluate: () => void;
}

function Actions({ model, version, onEdit, onEvaluate }: ActionsProps) {
  const { t } = useTranslation("models");
  const project = useProject();
  const editor = useMay("editor");
  const confirm = useConfirm();
  const navigate = useNavigate();
  const refresh = useRefresh(project.name);
  const ready = version?.conversion === "ready";
  const remove = async () => {
    const evaluations = model.best ? t("delete.withEvaluations") : "";
    const yes = await confirm({
      title: t("delete.title", { name: model.name }),
      lost: t("delete.lost", { count: model.versions?.length ?? 0, evaluations }),
      action: t("common:delete"),
      typed: model.name,
    });
    if (!yes) return;
    try {
      await ask(api.DELETE("/api/v1/projects/{project}/models/{model}", { params: { path: { project: project.name, model: model.name } } }));
      tell(t("delete.done", { name: model.name }));
      await navigate(`/p/${project.name}/models`);
      await refresh(model.name);
    } catch (error) {
      tellError(error);
    }
  };
  const deploy = version && `/p/${project.name}/endpoints/new?${new URLSearchParams({ model: model.name, version: String(version.number) }).toString()}`;
  return (
    <>
      {editor && ready && deploy && (
        <Button component={Link} to={deploy} leftSection={<IconRocket size={14} />}>
          {t("actions.deploy")}
        </Button>
      )}
      {editor && ready && (
        <Button variant="default" leftSection={<IconTargetArrow size={14} />} onClick={onEvaluate}>
          {t("actions.evaluate")}
        </Button>
      )}
      {version && (
        <Button
          component="a"
          variant="default"
          href={`${versionApi(project.name, model.name, version.number)}/archive`}
          download={`${model.name}-${version.number}.zip`}
          leftSection={<IconDownload size={14} />}
        >
          {t("common:download")}
        </Button>
      )}
      {editor && (
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="default" aria-label={t("common:more")}>
              <IconDots size={16} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item leftSection={<IconPencil size={14} />} onClick={onEdit}>
              {t("actions.edit")}
            </Menu.Item>
            <Menu.Item color="red" leftSection={<IconTrash size={14} />} onClick={() => void remove()}>
              {t("actions.delete")}
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      )}
    </>
  );
}
