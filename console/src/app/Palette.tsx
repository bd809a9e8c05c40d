/** ⌘K: pages, things and actions. It comes when it is first asked for. */
import { Modal } from "@mantine/core";
import { Suspense } from "react";
import { useTranslation } from "react-i18next";
import { Loading } from "@/ui/Loading";
import PaletteBox from "./palette/PaletteBox";
import classes from "./Palette.module.css";

interface Props {
  opened: boolean;
  close: () => void;
  project: string | null;
  showShortcuts: () => void;
}

export default function Palette({ opened, close, project, showShortcuts }: Props) {
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
