import { notifications } from "@mantine/notifications";
import i18next from "i18next";

const closing = () => ({ closeButtonProps: { "aria-label": i18next.t("common:close") } });

/** A short word at the corner: something worked, or did not. */
export function tell(message: string): void {
  notifications.show({ message, withBorder: true, color: "accent", autoClose: 4000, ...closing() });
}

export function tellError(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  notifications.show({ message, withBorder: true, color: "red", autoClose: 10_000, ...closing() });
}
