import { PasswordInput, type PasswordInputProps } from "@mantine/core";
import { useTranslation } from "react-i18next";

/** A password that can be shown while it is typed, by keyboard too. */
export function Secret(props: PasswordInputProps) {
  const { t } = useTranslation("door");
  return (
    <PasswordInput
      visibilityToggleButtonProps={{ "aria-label": t("showPassword"), "aria-hidden": false, tabIndex: 0 }}
      {...props}
    />
  );
}
