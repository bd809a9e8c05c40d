import { Modal } from "@mantine/core";
import { useTranslation } from "react-i18next";

/** ⌘K: pages, things and actions. */
export function Palette({ opened, close }: { opened: boolean; close: () => void }) {
  const { t } = useTranslation("nav");
  return <Modal opened={opened} onClose={close} title={t("search")} />;
}
