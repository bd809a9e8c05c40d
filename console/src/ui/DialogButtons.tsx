import { Button, Group } from "@mantine/core";
import { useTranslation } from "react-i18next";

interface Props {
  /** What the button says that sends the form. */
  action: string;
  busy: boolean;
  disabled?: boolean;
  cancel: () => void;
}

/** The end of a form in a dialog: not at all, or do it. */
export function DialogButtons({ action, busy, disabled = false, cancel }: Props) {
  const { t } = useTranslation();
  return (
    <Group justify="flex-end" gap="sm">
      <Button variant="default" onClick={cancel}>
        {t("common:cancel")}
      </Button>
      <Button type="submit" disabled={disabled} loading={busy}>
        {action}
      </Button>
    </Group>
  );
}
