import { useTranslation } from "react-i18next";
import { ago, time } from "@/ui/format";

/** "3 min. ago", with the moment itself to hover over; a dash where there is none. */
export function Moment({ iso }: { iso: string | null | undefined }) {
  const { i18n } = useTranslation();
  if (!iso) return <>–</>;
  return (
    <time dateTime={iso} title={time(iso, i18n.language)}>
      {ago(iso, i18n.language)}
    </time>
  );
}
