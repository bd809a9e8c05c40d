/** ⌘K: pages, things and actions. The box comes when it is first asked for. */
import { Modal } from "@mantine/core";
import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";
import { Loading } from "@/ui/Loading";

import classes from "./Palette.module.css";

const PaletteBox = lazy(() => import("./palette/PaletteBox"));

interface Props {
  opened: boolean;
  close: () => void;
  project: string | null;
  showShortcuts: () => void;
}

export function Palette({ opened, close, project, showShortcuts }: Props) {
  const { t } = useTranslation("nav");
  return (
    <Modal
      opened={opened}
      onClose={close}
      centered={false}
      yOffset="10vh"
      size={640}
      padding={0}
      withCloseButton={false}
      transitionProps={{ duration: 0 }}
      classNames={{ content: classes.dialog }}
      attributes={{ content: { "aria-label": t("search") } }}
    >
      <Suspense fallback={<Loading />}>
        <PaletteBox project={project} close={close} showShortcuts={showShortcuts} />
      </Suspense>
    </Modal>
  );
}
