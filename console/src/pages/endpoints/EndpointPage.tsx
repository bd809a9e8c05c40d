/** An endpoint: ask it, watch it, use it. */
import { Alert, Button } from "@mantine/core";
import { IconReplace, IconTrash } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { api, ask } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { modelPath } from "@/pages/models/data";
import { SignatureTable } from "@/pages/models/SignatureTable";
import { Cli, CopyLine } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { Fact, Facts } from "@/ui/Facts";
import { Failure } from "@/ui/Failure";
import { money, price, time } from "@/ui/format";
import { LineageGraph } from "@/ui/LineageGraph";
import { Loading } from "@/ui/Loading";
import { tell, tellError } from "@/ui/notify";
import { Page, type Tab } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { type Endpoint, useEndpoint } from "./data";
import classes from "./endpoints.module.css";
import { Playground } from "./playground/Playground";
import { ReplicaLogs } from "./ReplicaLogs";
import { Revisions } from "./Revisions";
import { Settings } from "./Settings";
import { Traffic } from "./Traffic";
import { UseIt } from "./UseIt";

export function EndpointPage() {
  const { t } = useTranslation("endpoints");
  const project = useProject();
  const name = useParams().endpoint!;
  const endpoint = useEndpoint(project.name, name);
  const crumbs = [{ label: t("title"), to: `/p/${project.name}/endpoints` }];
  if (!endpoint.data) {
    return (
      <Page title={name} crumbs={crumbs}>
        {endpoint.error ? <Failure error={endpoint.error} retry={() => void endpoint.refetch()} /> : <Loading />}
      </Page>
    );
  }
  return <Loaded endpoint={endpoint.data} crumbs={crumbs} />;
}

function Loaded({ endpoint, crumbs }: { endpoint: Endpoint; crumbs: { label: string; to: string }[] }) {
  const { t } = useTranslation("endpoints");
  const project = useProject().name;
  const told = (content: ReactNode) => (
    <div className={classes.stack}>
      {endpoint.message && (
        <Alert variant="outline" color={endpoint.state === "failed" ? "red" : "yellow"}>
          {endpoint.message.split("\n", 1)[0] /* the end of a log may follow: that is under Log */}
        </Alert>
      )}
      {content}
    </div>
  );
  const tabs: Tab[] = [
    { value: "play", label: t("tabs.play"), content: () => told(<Play endpoint={endpoint} />) },
    { value: "traffic", label: t("tabs.traffic"), content: () => told(<Traffic endpoint={endpoint} />) },
    { value: "revisions", label: t("tabs.revisions"), content: () => told(<Revisions endpoint={endpoint} />) },
    { value: "log", label: t("tabs.log"), content: () => told(<ReplicaLogs endpoint={endpoint} />) },
    { value: "use", label: t("tabs.use"), content: () => told(<UseIt endpoint={endpoint} />) },
    { value: "settings", label: t("tabs.settings"), content: () => told(<Settings endpoint={endpoint} />) },
    { value: "info", label: t("tabs.info"), content: () => told(<Info endpoint={endpoint} />) },
  ];
  const facts = (
    <>
      <Link to={modelPath(project, endpoint.model, { version: endpoint.version, tab: "version" })}>{`${endpoint.model}/${endpoint.version}`}</Link>
      <span>{t("common:perHour", { price: price(endpoint.price_per_hour, endpoint.currency) })}</span>
      <span>{t("costSoFar", { cost: money(endpoint.cost, endpoint.currency) })}</span>
    </>
  );
  return (
    <Page
      title={endpoint.name}
      crumbs={crumbs}
      status={<Status state={endpoint.state} title={endpoint.message} />}
      facts={facts}
      actions={<Actions endpoint={endpoint} />}
      cli={
        <>
          <CopyLine text={endpoint.url} />
          <Cli words={["nacre", "predict", endpoint.name, "input.json"]} />
        </>
      }
      tabs={tabs}
    />
  );
}

function Play({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useTranslation("endpoints");
  if (!endpoint.signature) return <p className={classes.message}>{t("play.noSignature")}</p>;
  // What was typed for one signature is nothing for another.
  return <Playground key={JSON.stringify(endpoint.signature.inputs)} endpoint={endpoint} signature={endpoint.signature} />;
}

function Actions({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useTranslation("endpoints");
  const project = useProject().name;
  const editor = useMay("editor");
  const confirm = useConfirm();
  const navigate = useNavigate();
  const client = useQueryClient();
  if (!editor) return null;
  const remove = async () => {
    const yes = await confirm({
      title: t("undeploy.title", { name: endpoint.name }),
      lost: t("undeploy.lost", { url: endpoint.url }),
      action: t("undeploy.action"),
    });
    if (!yes) return;
    try {
      await ask(api.DELETE("/api/v1/projects/{project}/endpoints/{endpoint}", { params: { path: { project, endpoint: endpoint.name } } }));
      tell(t("undeploy.done", { name: endpoint.name }));
      await navigate(`/p/${project}/endpoints`);
      await client.invalidateQueries({ queryKey: ["endpoints", project] });
    } catch (error) {
      tellError(error);
    }
  };
  const search = new URLSearchParams({ endpoint: endpoint.name, model: endpoint.model });
  return (
    <>
      <Button component={Link} to={`/p/${project}/endpoints/new?${search.toString()}`} variant="default" leftSection={<IconReplace size={14} />}>
        {t("deploy.other")}
      </Button>
      <Button variant="default" leftSection={<IconTrash size={14} />} onClick={() => void remove()}>
        {t("undeploy.action")}
      </Button>
    </>
  );
}

function Info({ endpoint }: { endpoint: Endpoint }) {
  const { t, i18n } = useTranslation("endpoints");
  const facts: [string, ReactNode][] = [
    [t("info.url"), <code key="url" className="n-mono">{endpoint.url}</code>],
    ...(endpoint.grpc ? [[t("info.grpc"), <code key="grpc" className="n-mono">{t("info.grpcText", { address: endpoint.grpc, model: `${endpoint.project}/${endpoint.name}` })}</code>] as [string, ReactNode]] : []),
    [t("common:type"), endpoint.type],
    [t("price"), t("common:perHour", { price: price(endpoint.price_per_hour, endpoint.currency) })],
    [t("common:costSoFar"), money(endpoint.cost, endpoint.currency)],
    [t("common:user"), endpoint.user],
    [t("common:created"), time(endpoint.created_at, i18n.language)],
    [t("info.protocol"), t("info.protocolText")],
  ];
  return (
    <div className={classes.stack}>
      <Facts names="fit">
        {facts.map(([name, value]) => (
          <Fact key={name} name={name}>
            {value}
          </Fact>
        ))}
      </Facts>
      {endpoint.signature && (
        <section className={classes.section}>
          <h2>{t("info.signature")}</h2>
          <SignatureTable signature={endpoint.signature} />
        </section>
      )}
      <section className={classes.section}>
        <h2>{t("info.lineage")}</h2>
        <LineageGraph project={endpoint.project} subject={`endpoint:${endpoint.name}`} />
      </section>
    </div>
  );
}
