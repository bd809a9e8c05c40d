/** Above the pages of data: an upload that goes on, or that was cut off. */
import { Button, Group } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useMay, useProject } from "@/app/project";
import { bytes } from "@/ui/format";
import { Notice } from "@/ui/Notice";
import type { Upload } from "./Upload";
import { dismissUpload, interrupted, useProgress, useUpload } from "./uploads";
import { doneShare } from "./share";
import classes from "./upload.module.css";

export function UploadBanner() {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const upload = useUpload();
  if (upload) return upload.project === project ? <Going upload={upload} /> : null;
  const before = mayEdit ? interrupted(project) : null;
  if (!before) return null;
  return (
    <Notice kind="warn">
      <Group gap="sm">
        <span>{t("banner.cutOff", { name: before.name, size: bytes(before.size) })}</span>
        <Button component={Link} to={`/p/${project}/data/new?name=${before.name}`} size="compact-xs" ml="auto">
          {t("banner.goOn")}
        </Button>
        <Button variant="default" size="compact-xs" onClick={dismissUpload}>
          {t("banner.forget")}
        </Button>
      </Group>
    </Notice>
  );
}

function Going({ upload }: { upload: Upload }) {
  const { t } = useTranslation("data");
  const progress = useProgress(upload);
  if (progress.stage === "cancelled") return null;
  const words = {
    done: t("banner.done", { name: upload.name, number: progress.version?.number ?? 0 }),
    failed: t("banner.failed", { name: upload.name }),
  }[progress.stage as "done" | "failed"];
  return (
    <Link to={`/p/${upload.project}/data/new`} className={classes.banner} data-stage={progress.stage}>
      <span>{words ?? t("banner.going", { name: upload.name, percent: Math.floor(100 * doneShare(progress)) })}</span>
      <span className={classes.thin} aria-hidden>
        <span style={{ width: `${String(100 * doneShare(progress))}%` }} />
      </span>
    </Link>
  );
}
