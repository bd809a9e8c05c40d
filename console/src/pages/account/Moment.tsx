import { useTranslation } from "react-i18next";
import { ago, time } from "@/ui/format";

/** "3 min ago", with the moment itself to hover over. */
export function Moment({ iso }: { iso: string }) {
  const { i18n } = useTranslation();
  return (
    <time dateTime={iso} title={time(iso, i18n.language)}>
      {ago(iso, i18n.language)}
    </time>
  );
}
