/** An upload as it goes: how far, how fast, how long still, each file, and what went wrong. */
import { Button, Group } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay, IconX } from "@tabler/icons-react";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Problem } from "@/api/client";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { bytes, duration } from "@/ui/format";
import { Notice } from "@/ui/Notice";
import { refresh } from "../dataset";
import { FileUnreadable } from "./hashing";
import { doneShare } from "./share";
import { PathFault, type Progress, type Upload } from "./Upload";
import classes from "./upload.module.css";
import { UploadFiles } from "./UploadFiles";
import { dismissUpload, runUpload, useProgress } from "./uploads";

export function UploadProgress({ upload }: { upload: Upload }) {
  const { t } = useTranslation("data");
  const progress = useProgress(upload);
  const confirm = useConfirm();
  const client = useQueryClient();
  const { stage, paused, version } = progress;
  useEffect(() => {
    if (stage === "done") refresh(client, upload.project);
  }, [stage, client, upload]);
  const page = `/p/${upload.project}/data/${upload.name}`;
  const over = stage === "done" || stage === "cancelled" || stage === "failed";
  const cancel = async () => {
    const lost = progress.sent ? t("going.cancelLost", { sent: bytes(progress.sent) }) : t("going.cancelNone");
    if (await confirm({ title: t("going.cancelTitle"), lost, action: t("going.cancel"), back: t("going.goOn") })) upload.cancel();
  };
  return (
    <div className={classes.going}>
      <section className={classes.card} aria-label={t("going.title", { name: upload.name })}>
        <header className={classes.cardHead}>
          <h2>{stageWords(t, progress, upload)}</h2>
          <Group gap="sm" ml="auto">
            {!over &&
              (paused ? (
                <Button leftSection={<IconPlayerPlay size={14} aria-hidden />} onClick={() => upload.resume()}>
                  {t("going.resume")}
                </Button>
              ) : (
                <Button variant="default" leftSection={<IconPlayerPause size={14} aria-hidden />} onClick={() => upload.pause()}>
                  {t("going.pause")}
                </Button>
              ))}
            {!over && (
              <Button variant="default" leftSection={<IconX size={14} aria-hidden />} onClick={() => void cancel()}>
                {t("going.cancel")}
              </Button>
            )}
            {stage === "failed" && <Button onClick={() => runUpload(upload)}>{t("common:tryAgain")}</Button>}
            {stage === "done" && (
              <Button component={Link} to={page} onClick={dismissUpload}>
                {t("going.look")}
              </Button>
            )}
            {over && (
              <Button variant="default" onClick={dismissUpload}>
                {stage === "done" ? t("going.another") : t("common:close")}
              </Button>
            )}
          </Group>
        </header>
        <div
          className={classes.bar}
          role="progressbar"
          aria-valuenow={Math.floor(100 * doneShare(progress))}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-label={t(`stages.${stage}`)}
          data-stage={paused && !over ? "paused" : stage}
        >
          <span style={{ width: `${String(100 * doneShare(progress))}%` }} />
        </div>
        <p className={classes.facts}>
          {facts(t, progress).map((fact) => (
            <span key={fact}>{fact}</span>
          ))}
        </p>
        {progress.away !== null && !over && (
          <Notice kind="warn">{t("going.away")}</Notice>
        )}
        {stage === "failed" && progress.error && (
          <Notice kind="bad">{errorWords(t, progress.error)}</Notice>
        )}
        {stage === "done" && version && (
          <Group gap="sm">
            <span className={classes.soft}>{version.created === false ? t("going.same", { number: version.number }) : t("going.useIt")}</span>
            <Cli words={["nacre", "run", "--data", `${upload.name}@${String(version.number)}`, "train.py"]} />
          </Group>
        )}
        {!over && <p className={classes.soft}>{t("going.stay")}</p>}
      </section>
      <UploadFiles upload={upload} />
    </div>
  );
}

type Words = ReturnType<typeof useTranslation<"data">>["t"];

function stageWords(t: Words, { stage, paused, version }: Progress, upload: Upload): string {
  if (stage === "done") return t("going.done", { name: upload.name, number: version?.number ?? 0 });
  if (paused && stage !== "failed" && stage !== "cancelled") return t("going.paused");
  return t(`stages.${stage}`);
}

function facts(t: Words, progress: Progress): string[] {
  const { stage, files, size, hashed, sent, lacking, spared, rate, left } = progress;
  const found = [t("going.files", { count: files, size: bytes(size) })];
  if (stage === "hashing") found.push(t("going.hashed", { done: bytes(hashed), size: bytes(size) }));
  if (stage === "sending" || stage === "naming" || stage === "done") {
    found.push(t("going.sent", { done: bytes(sent), size: bytes(lacking) }));
    if (spared > 0) found.push(t("going.spared", { size: bytes(spared) }));
  }
  if (rate !== null && (stage === "hashing" || stage === "sending") && !progress.paused && progress.away === null) {
    found.push(t("going.rate", { rate: bytes(rate) }));
    if (left !== null && Number.isFinite(left)) found.push(t("going.left", { time: duration(Math.max(1, Math.round(left))) }));
  }
  return found;
}

function errorWords(t: Words, error: Error): string {
  if (error instanceof PathFault) return t(`faults.${error.fault as "twice"}`, { path: error.path });
  if (error instanceof FileUnreadable) return t("going.unreadable", { path: error.message });
  if (error instanceof Problem && error.status === 401) return t("going.signedOut");
  return error.message;
}
