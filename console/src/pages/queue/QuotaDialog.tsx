/** An administrator sets a project's quota. */
import { Modal } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { QuotaForm } from "./QuotaForm";
import type { Quota } from "./shares";

export function QuotaDialog({ project, quota, close }: { project: string | null; quota: Quota | null; close: () => void }) {
  const { t } = useTranslation("queue");
  return (
    <Modal opened={project !== null} onClose={close} size="lg" title={t("quota.title", { project })} closeButtonProps={{ "aria-label": t("common:close") }}>
      {project !== null && <QuotaForm project={project} quota={quota} done={close} cancel={close} />}
    </Modal>
  );
}
