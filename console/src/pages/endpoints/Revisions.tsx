/** What was deployed, newest first; any of it can be deployed again. */
import { Button } from "@mantine/core";
import { IconArrowBackUp } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { api, ask, type Schemas } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { modelPath } from "@/pages/models/data";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { type Column, DataTable } from "@/ui/DataTable";
import { time } from "@/ui/format";
import { tell, tellError } from "@/ui/notify";
import { Status } from "@/ui/Status";
import { type Endpoint, endpointKey } from "./data";
import classes from "./endpoints.module.css";

type Revision = Schemas["Revision"];

export function Revisions({ endpoint }: { endpoint: Endpoint }) {
  const { t, i18n } = useTranslation("endpoints");
  const project = useProject().name;
  const editor = useMay("editor");
  const confirm = useConfirm();
  const client = useQueryClient();
  const [busy, setBusy] = useState<number | null>(null);
  const revisions = endpoint.revisions ?? [];
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
          body: { model: revision.model, version: String(revision.version), type: endpoint.type },
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
  const columns: Column<Revision>[] = [
    { key: "number", label: t("revisions.revision"), cell: (one) => one.number, width: 90 },
    {
      key: "model",
      label: t("model"),
      cell: (one) => <Link to={modelPath(project, one.model, { version: one.version, tab: "version" })}>{`${one.model}/${one.version}`}</Link>,
    },
    { key: "state", label: t("common:state"), cell: (one) => <Status state={one.state} title={one.message} />, width: 120 },
    { key: "message", label: t("revisions.message"), cell: (one) => <span title={one.message ?? undefined}>{one.message ?? "–"}</span>, wide: true },
    { key: "created", label: t("common:created"), cell: (one) => time(one.created_at, i18n.language), width: 200, wide: true },
  ];
  if (editor) {
    columns.push({
      key: "again",
      label: t("common:actions"),
      cell: (one) =>
        one.version === endpoint.version && one.model === endpoint.model ? null : (
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
    });
  }
  return (
    <div className={classes.stack} style={{ gap: 12 }}>
      <DataTable label={t("tabs.revisions")} rows={revisions} columns={columns} id={(one) => String(one.number)} />
      <p className={classes.message}>{t("revisions.help")}</p>
      {editor && <Cli words={["nacre", "deploy", `${endpoint.model}/${revisions[1]?.version ?? endpoint.version}`, "--name", endpoint.name]} />}
    </div>
  );
}
