/** A dataset: the files of one of its versions, their statistics, and all versions. */
import { Button, Menu, Select } from "@mantine/core";
import { IconDots, IconTrash, IconUpload } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { api, ask } from "@/api/client";
import { useLiveThing } from "@/api/queries";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { Failure } from "@/ui/Failure";
import { ago, bytes, time } from "@/ui/format";
import { LineageGraph } from "@/ui/LineageGraph";
import { Loading } from "@/ui/Loading";
import { tell, tellError } from "@/ui/notify";
import { Page, type Tab } from "@/ui/Page";
import { useUrlState } from "@/ui/useUrlState";
import { type Dataset, datasetQuery, filesQuery, isImage, refresh, type Version, versionQuery } from "./dataset";
import { Files } from "./Files";
import { UploadBanner } from "./upload/UploadBanner";
import { UseIt } from "./UseIt";
import { Versions } from "./Versions";

const Images = lazy(() => import("./Images"));
const Statistics = lazy(() => import("./Statistics"));

export default function DatasetPage() {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const dataset = useParams().dataset!;
  const found = useQuery(datasetQuery(project, dataset));
  useLiveThing(datasetQuery(project, dataset).queryKey, { topic: "dataset", project, name: dataset }, "dataset");
  const [asked] = useUrlState("version");
  const crumbs = [{ label: t("title"), to: `/p/${project}/data` }];
  if (found.error && !found.data) {
    return (
      <Page title={dataset} crumbs={crumbs}>
        <Failure error={found.error} retry={() => void found.refetch()} />
      </Page>
    );
  }
  if (!found.data) return <Loading />;
  const latest = found.data.versions?.at(-1) ?? 0;
  const version = /^\d{1,9}$/.test(asked) ? Number(asked) : latest;
  return <OneVersion key={version} dataset={found.data} number={version} latest={latest} crumbs={crumbs} />;
}

interface Props {
  dataset: Dataset;
  number: number;
  latest: number;
  crumbs: { label: string; to: string }[];
}

function OneVersion({ dataset, number, latest, crumbs }: Props) {
  const { t, i18n } = useTranslation("data");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const found = useQuery({
    ...versionQuery(project, dataset.name, number),
    initialData: dataset.latest?.number === number ? dataset.latest : undefined,
  });
  const files = useQuery(filesQuery(project, dataset.name, number));
  const ref = `${dataset.name}@${String(number)}`;
  if (found.error && !found.data) {
    return (
      <Page title={dataset.name} crumbs={crumbs} status={<Choose {...{ dataset, number, latest }} />}>
        <Failure error={found.error} retry={() => void found.refetch()} />
      </Page>
    );
  }
  if (!found.data) return <Loading />;
  const version: Version = found.data;
  const images = files.data?.files.some((file) => isImage(file.path)) ?? false;
  const tabs: Tab[] = [
    { value: "files", label: t("tabs.files"), content: () => <Files dataset={dataset.name} version={number} /> },
    ...(images ? [{ value: "images", label: t("tabs.images"), content: () => <Images dataset={dataset.name} version={number} /> }] : []),
    { value: "statistics", label: t("tabs.statistics"), content: () => <Statistics dataset={dataset.name} version={number} /> },
    { value: "versions", label: t("tabs.versions"), content: () => <Versions dataset={dataset} current={number} /> },
    {
      value: "lineage",
      label: t("tabs.lineage"),
      content: () => <LineageGraph project={project} subject={`data:${dataset.name}/${String(number)}`} />,
    },
    { value: "use", label: t("tabs.use"), content: () => <UseIt dataset={dataset.name} version={number} /> },
  ];
  return (
    <Page
      title={dataset.name}
      crumbs={crumbs}
      status={<Choose {...{ dataset, number, latest }} />}
      facts={
        <>
          <span>{t("files", { count: version.files })}</span>
          <span>{bytes(version.size)}</span>
          <span title={time(version.created_at, i18n.language)}>
            {version.user
              ? t("madeBy", { when: ago(version.created_at, i18n.language), user: version.user })
              : ago(version.created_at, i18n.language)}
          </span>
        </>
      }
      actions={
        mayEdit && (
          <>
            <Button component={Link} to={`/p/${project}/data/new?name=${dataset.name}`} leftSection={<IconUpload size={14} aria-hidden />}>
              {t("newVersion")}
            </Button>
            <More dataset={dataset} />
          </>
        )
      }
      cli={<Cli words={["nacre", "data", "pull", ref]} />}
      tabs={tabs}
    >
      <UploadBanner />
    </Page>
  );
}

function Choose({ dataset, number, latest }: Omit<Props, "crumbs">) {
  const { t } = useTranslation("data");
  const [, setVersion] = useUrlState("version", "", { push: true });
  const numbers = [...(dataset.versions ?? [])].reverse();
  const known = numbers.includes(number) ? numbers : [number, ...numbers];
  return (
    <Select
      aria-label={t("common:version")}
      value={String(number)}
      onChange={(value) => value && setVersion(Number(value) === latest ? "" : value)}
      data={known.map((one) => ({ value: String(one), label: one === latest ? t("latestOne", { number: one }) : `@${String(one)}` }))}
      allowDeselect={false}
      searchable={known.length > 20}
      w={130}
    />
  );
}

function More({ dataset }: { dataset: Dataset }) {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const confirm = useConfirm();
  const navigate = useNavigate();
  const client = useQueryClient();
  const remove = async () => {
    const count = dataset.versions?.length ?? 0;
    const yes = await confirm({
      title: t("deleteAll.title", { name: dataset.name }),
      lost: t("deleteAll.lost", { count }),
      action: t("common:delete"),
      typed: dataset.name,
    });
    if (!yes) return;
    try {
      await ask(
        api.DELETE("/api/v1/projects/{project}/data/{dataset}", { params: { path: { project, dataset: dataset.name } } }),
      );
      tell(t("deleted", { name: dataset.name }));
      await navigate(`/p/${project}/data`);
      refresh(client, project);
    } catch (error) {
      tellError(error);
    }
  };
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default" px={8} aria-label={t("common:more")}>
          <IconDots size={14} aria-hidden />
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item color="red" leftSection={<IconTrash size={14} aria-hidden />} onClick={() => void remove()}>
          {t("deleteAll.action")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
