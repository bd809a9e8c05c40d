/** What was deployed, newest first: who answers how much, and how each does. */
import { Button } from "@mantine/core";
import { IconArrowBackUp } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { api, ask } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { modelPath } from "@/pages/models/data";
import { useConfirm } from "@/ui/confirm";
import { type Column, DataTable } from "@/ui/DataTable";
import { time } from "@/ui/format";
import { tell, tellError } from "@/ui/notify";
import { Status } from "@/ui/Status";
import { type Endpoint, endpointKey, type Revision } from "./data";
import { milliseconds } from "./EndpointsPage";
import classes from "./endpoints.module.css";
import { Replicas } from "./Replicas";
import { Shares } from "./Shares";
import { percent, takenBack } from "./sharing";

export function Revisions({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useTranslation("endpoints");
  return (
    <div className={classes.stack}>
      <Shares endpoint={endpoint} />
      <RevisionTable endpoint={endpoint} />
      <Replicas endpoint={endpoint} />
      <p className={classes.message}>{t("revisions.help")}</p>
    </div>
  );
}

function RevisionTable({ endpoint }: { endpoint: Endpoint }) {
  const { t, i18n } = useTranslation("endpoints");
  const project = useProject().name;
  const editor = useMay("editor");
  const confirm = useConfirm();
  const client = useQueryClient();
  const [busy, setBusy] = useState<number | null>(null);
  const again = async (revision: Revision) => {
    const version = `${revision.model}/${revision.version}`;
    const yes = await confirm({
      title: t("revisions.title", { version, name: endpoint.name }),
      lost: t("revisions.text", { version: `${endpoint.model}/${endpoint.version}` }),
      action: t("deploy.deploy"),
    });
    if (!yes) return;
    setBusy(revision.number);
    try {
      const found = await ask(
        api.PUT("/api/v1/projects/{project}/endpoints/{endpoint}", {
          params: { path: { project, endpoint: endpoint.name } },
          body: { model: revision.model, version: String(revision.version), type: endpoint.type, shadow: 0, runtime: "auto" },
        }),
      );
      client.setQueryData(endpointKey(project, endpoint.name), found);
      tell(t("deploy.started", { name: endpoint.name, version }));
    } catch (error) {
      tellError(error);
    } finally {
      setBusy(null);
    }
  };
  const number = (value: number | null | undefined) => value?.toLocaleString(i18n.language) ?? "–";
  const columns: Column<Revision>[] = [
    { key: "number", label: t("revisions.revision"), cell: (one) => one.number, width: 90 },
    {
      key: "model",
      label: t("model"),
      cell: (one) => <Link to={modelPath(project, one.model, { version: one.version, tab: "version" })}>{`${one.model}/${one.version}`}</Link>,
    },
    { key: "state", label: t("common:state"), cell: (one) => <Status state={one.state} title={one.message} word={takenBack(one) ? t("revisions.takenBack") : undefined} />, width: 120 },
    { key: "share", label: t("revisions.share"), cell: (one) => share(one, t), numeric: true, width: 110 },
    { key: "requests", label: t("requests"), cell: (one) => number(one.requests), numeric: true, width: 100, wide: true },
    { key: "errors", label: t("errors"), cell: (one) => number(one.errors), numeric: true, width: 80, wide: true },
    { key: "p99", label: "p99", cell: (one) => milliseconds(one.latency_p99_ms), numeric: true, width: 90, wide: true },
    { key: "now", label: t("revisions.now"), cell: (one) => number(one.in_flight), numeric: true, width: 90, wide: true },
    { key: "created", label: t("common:created"), cell: (one) => time(one.created_at, i18n.language), width: 170, wide: true },
  ];
  const revisions = endpoint.revisions ?? [];
  if (editor && revisions.some(idle)) {
    columns.push({
      key: "again",
      label: t("common:actions"),
      cell: (one) =>
        !idle(one) ? null : (
          <Button
            size="compact-xs"
            variant="default"
            leftSection={<IconArrowBackUp size={12} />}
            loading={busy === one.number}
            onClick={() => void again(one)}
            aria-label={t("revisions.againNamed", { version: `${one.model}/${one.version}` })}
          >
            {t("revisions.again")}
          </Button>
        ),
      width: 150,
      actions: true,
    });
  }
  // What the page says above all tabs is not said twice; but there a roll-back alone names its revision.
  const told = revisions.filter((one) => one.message && !(takenBack(one) && endpoint.message?.includes(one.message)));
  return (
    <div>
      <DataTable label={t("tabs.revisions")} rows={revisions} columns={columns} id={(one) => String(one.number)} />
      {told.map((one) => (
        <p key={one.number} className={classes.message} style={{ marginTop: 8 }}>
          {t("revisions.said", { number: one.number, message: one.message })}
        </p>
      ))}
    </div>
  );
}

/** Gets no requests, not even copies. */
function idle(one: Revision): boolean {
  return one.traffic === 0 && one.shadow === 0 && one.answering === 0;
}

type Translate = ReturnType<typeof useTranslation<"endpoints">>["t"];

/** Its share, and the one that is wanted where that is another; or how much is copied to it. */
function share(one: Revision, t: Translate): string {
  if (one.shadow > 0 && !one.traffic) return t("revisions.shadow", { share: percent(one.shadow) });
  if (one.answering !== one.traffic) return `${one.answering} → ${percent(one.traffic)}`;
  return one.traffic ? percent(one.traffic) : "–";
}
