/** The same days as a table. */
import { useTranslation } from "react-i18next";
import { DataTable } from "@/ui/DataTable";
import { column } from "./columns";
import type { Day } from "./lines";
import { fullDay } from "./words";

export function DayTable({ label, days, parts, currency }: {
  label: string;
  days: Day[];
  parts: { name: string; label: string }[];
  currency: string;
}) {
  const { t, i18n } = useTranslation("cost");
  const say = column(days.map((day) => day.total), currency);
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
          cell: (day: Day) => say(day.parts.get(part.name)),
        })),
        { key: "total", label: t("total"), numeric: true, cell: (day) => say(day.total) },
      ]}
    />
  );
}
