import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";

/** One more page, where there is one. */
export function More({ more, busy }: { more: (() => void) | undefined; busy: boolean }) {
  const { t } = useTranslation();
  if (!more) return null;
  return (
    <Button variant="default" w="fit-content" loading={busy} onClick={more}>
      {t("showMore")}
    </Button>
  );
}
