/** The same days as a table. */
import { useTranslation } from "react-i18next";
import { DataTable } from "@/ui/DataTable";
import { money } from "@/ui/format";
import type { Day } from "./lines";
import { fullDay } from "./words";

export function DayTable({ label, days, parts, currency }: {
  label: string;
  days: Day[];
  parts: { name: string; label: string }[];
  currency: string;
}) {
  const { t, i18n } = useTranslation("cost");
  return (
    <DataTable
      label={label}
      rows={[...days].reverse().filter((day) => day.total > 0)}
      id={(day) => day.day}
      columns={[
        { key: "day", label: t("day"), cell: (day) => fullDay(day.day, i18n.language) },
        ...parts.map((part) => ({
          key: part.name,
          label: part.label,
          numeric: true,
          cell: (day: Day) => money(day.parts.get(part.name), currency),
        })),
        { key: "total", label: t("total"), numeric: true, cell: (day) => money(day.total, currency) },
      ]}
    />
  );
}
