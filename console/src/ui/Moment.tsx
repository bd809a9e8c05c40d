import { useTranslation } from "react-i18next";
import { ago, timeWithZone } from "./format";

/** "3 min. ago", with the moment itself to hover over; a dash where there is none. */
export function Moment({ iso, className }: { iso: string | null | undefined; className?: string | undefined }) {
  const { i18n } = useTranslation();
  if (!iso) return <>–</>;
  return (
    <time dateTime={iso} title={timeWithZone(iso, i18n.language)} className={className}>
      {ago(iso, i18n.language)}
    </time>
  );
}
