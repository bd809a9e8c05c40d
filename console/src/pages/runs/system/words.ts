/** The words of charts, lines and values of resources. */
import { useTranslation } from "react-i18next";
import { bytes, number } from "@/ui/format";
import type { SystemChart, SystemLine, Unit } from "./system";

export function useWords() {
  const { t } = useTranslation("system");
  return {
    title: (chart: SystemChart) => (chart.family === "other" ? chart.name : t(`families.${chart.family}`)),
    /** What tells a line from the others of its chart; the chart's own title where nothing does. */
    line: (chart: SystemChart, one: SystemLine) => {
      const parts = [
        one.rank === null ? "" : t("replica", { rank: one.rank }),
        one.device === null ? "" : t("device", { device: one.device }),
        one.way ? t(`ways.${one.way}`) : "",
      ].filter(Boolean);
      return parts.join(" · ") || (chart.family === "other" ? chart.name : t(`families.${chart.family}`));
    },
  };
}

/** One value with its unit. */
export function said(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined) return "–";
  if (unit === "percent") return `${number(value, 3)} %`;
  if (unit === "watts") return `${number(value, 3)} W`;
  if (unit === "count") return number(value, 4);
  return bytes(1e6 * value) + (unit === "rate" ? "/s" : "");
}
