/** Who answers how much: a slider for each revision that can, promotion and roll-back in one click. */
import { Button, Group, Slider } from "@mantine/core";
import { IconArrowBackUp, IconCheck, IconRocket } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { tell, tellError } from "@/ui/notify";
import { type Endpoint, endpointKey, type Revision } from "./data";
import classes from "./endpoints.module.css";
import { answers, canRollBack, fitted, percent, sameShares, type Shares as Shared, withShare } from "./sharing";

/** Those that may get requests: ready ones, and any that has a share. */
export function live(revisions: Revision[]): Revision[] {
  return revisions.filter((one) => one.state === "ready" || one.traffic > 0);
}

export function Shares({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useTranslation("endpoints");
  const project = useProject().name;
  const editor = useMay("editor");
  const client = useQueryClient();
  const [draft, setDraft] = useState<Shared | null>(null);
  // Where a drag began: the others keep their proportions, however far it went in between.
  const [held, setHeld] = useState<Shared | null>(null);
  const [busy, setBusy] = useState<string | null>(null);
  const all = endpoint.revisions ?? [];
  const revisions = live(all);
  const stored = Object.fromEntries(revisions.map((one) => [one.number, one.traffic]));
  const mine = draft && fitted(draft, revisions.map((one) => one.number));
  const shares: Shared = mine ?? stored;
  const changed = mine !== null && !sameShares(mine, stored);
  const movable = editor && revisions.length > 1;
  const newest = revisions[0];
  // A revision that answers by itself needs no copies any more.
  const copies = Object.fromEntries(revisions.filter((one) => one.shadow > 0 && !shares[one.number]).map((one) => [one.number, one.shadow]));
  const path = { project, endpoint: endpoint.name };
  const act = async (what: string, work: () => Promise<Endpoint>, done: string) => {
    setBusy(what);
    try {
      client.setQueryData(endpointKey(project, endpoint.name), await work());
      setDraft(null);
      tell(done);
    } catch (error) {
      tellError(error);
    } finally {
      setBusy(null);
    }
  };
  const apply = () =>
    act(
      "apply",
      () => ask(api.PUT("/api/v1/projects/{project}/endpoints/{endpoint}/traffic", { params: { path }, body: { traffic: shares, shadow: copies } })),
      t("shares.applied"),
    );
  const promote = (number: number) =>
    act(
      "promote",
      () => ask(api.POST("/api/v1/projects/{project}/endpoints/{endpoint}/promote", { params: { path }, body: { revision: number } })),
      t("shares.promoted", { number }),
    );
  const rollBack = () =>
    act(
      "rollback",
      () => ask(api.POST("/api/v1/projects/{project}/endpoints/{endpoint}/rollback", { params: { path }, body: {} })),
      t("shares.rolledBack"),
    );
  const slide = (number: number, value: number) => {
    if (!held) setHeld(shares);
    setDraft(withShare(held ?? shares, number, value));
  };
  const words = ["nacre", "endpoint", "traffic", endpoint.name, ...revisions.map((one) => `${one.number}=${shares[one.number] ?? 0}`)];
  for (const [number, share] of Object.entries(copies)) words.push("--shadow", `${number}=${share}`);
  return (
    <section className={classes.section} aria-label={t("shares.title")}>
      <h2>{t("shares.title")}</h2>
      <div className={classes.shares}>
        {revisions.map((one) => (
          <div key={one.number} className={classes.share} data-still={!movable || undefined}>
            <span>{t("shares.revision", { number: one.number, version: `${one.model}/${one.version}` })}</span>
            {movable && (
              <Slider
                value={shares[one.number] ?? 0}
                onChange={(value) => slide(one.number, value)}
                onChangeEnd={() => setHeld(null)}
                min={0}
                max={100}
                step={1}
                label={null}
                disabled={busy !== null}
                thumbLabel={t("shares.of", { number: one.number })}
              />
            )}
            <strong>{percent(shares[one.number] ?? 0)}</strong>
          </div>
        ))}
        {!all.some(answers) && <p className={classes.message}>{t("shares.none")}</p>}
      </div>
      {editor && (
        <Group gap="sm" mt={12}>
          {movable && (
            <Button leftSection={<IconCheck size={14} />} disabled={!changed} loading={busy === "apply"} onClick={() => void apply()}>
              {t("shares.apply")}
            </Button>
          )}
          {changed && (
            <Button variant="default" onClick={() => setDraft(null)}>
              {t("common:cancel")}
            </Button>
          )}
          {newest && newest.traffic < 100 && newest.state === "ready" && (
            <Button variant="default" leftSection={<IconRocket size={14} />} loading={busy === "promote"} onClick={() => void promote(newest.number)}>
              {t("shares.promote", { number: newest.number })}
            </Button>
          )}
          {canRollBack(all) && (
            <Button variant="default" leftSection={<IconArrowBackUp size={14} />} loading={busy === "rollback"} onClick={() => void rollBack()}>
              {t("shares.rollBack")}
            </Button>
          )}
        </Group>
      )}
      {movable && (
        <div style={{ marginTop: 12 }}>
          <Cli words={words} />
        </div>
      )}
    </section>
  );
}
