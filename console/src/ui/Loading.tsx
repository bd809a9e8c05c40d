import { Loader } from "@mantine/core";
import { useTranslation } from "react-i18next";

/** Something is on its way. */
export function Loading() {
  const { t } = useTranslation();
  return (
    <output aria-label={t("loading")} style={{ display: "grid", placeItems: "center", padding: 48 }}>
      <Loader size="sm" />
    </output>
  );
}
