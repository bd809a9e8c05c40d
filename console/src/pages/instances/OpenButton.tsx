/** Opens what the instance serves in a new tab. */
import { ActionIcon, Anchor, Button, Tooltip } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconExternalLink } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useProject } from "@/app/project";
import { tellError } from "@/ui/notify";
import { appOf, type Instance, openInstance } from "./instance";
import { openIn } from "./opening";

function useOpen(instance: Instance): [boolean, () => void] {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const [busy, setBusy] = useState(false);
  const open = async () => {
    setBusy(true);
    const words = t("open.opening", { app: appOf(instance), name: instance.name });
    try {
      const opened = await openIn(() => openInstance(project, instance.name).then((found) => found.url), words);
      if (opened.how === "blocked") {
        const id = notifications.show({
          autoClose: 60_000,
          color: "accent",
          message: (
            <>
              {t("open.blocked")}{" "}
              <Anchor size="sm" href={opened.url} target="_blank" rel="noopener noreferrer" onClick={() => notifications.hide(id)}>
                {t("open.follow", { app: appOf(instance) })}
              </Anchor>
            </>
          ),
        });
      }
    } catch (error) {
      tellError(error);
    }
    setBusy(false);
  };
  return [busy, () => void open()];
}

export function OpenButton({ instance, primary }: { instance: Instance; primary: boolean }) {
  const { t } = useTranslation("instances");
  const [busy, open] = useOpen(instance);
  return (
    <Button variant={primary ? "filled" : "default"} rightSection={<IconExternalLink size={14} />} loading={busy} onClick={open}>
      {t("open.button", { app: appOf(instance) })}
    </Button>
  );
}

/** The same in a row of a table. */
export function OpenIcon({ instance }: { instance: Instance }) {
  const { t } = useTranslation("instances");
  const [busy, open] = useOpen(instance);
  const words = t("open.named", { app: appOf(instance), name: instance.name });
  return (
    <Tooltip label={words}>
      <ActionIcon aria-label={words} loading={busy} onClick={open}>
        <IconExternalLink size={16} />
      </ActionIcon>
    </Tooltip>
  );
}
