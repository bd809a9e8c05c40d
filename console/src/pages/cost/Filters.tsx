/** Which days, and of which project. */
import { Group, SegmentedControl, Select, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { useProjects } from "@/app/ProjectSwitch";
import { dayOf, PERIODS } from "./period";
import type { Asked } from "./useAsked";

const DAY_MS = 86_400_000;

export function Filters({ asked }: { asked: Asked }) {
  const { t } = useTranslation("cost");
  const [, setParams] = useSearchParams();
  const projects = useProjects().data?.items ?? [];
  const set = (values: Record<string, string>) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        for (const [name, value] of Object.entries(values)) {
          if (value) after.set(name, value);
          else after.delete(name);
        }
        return after;
      },
      { replace: true, preventScrollReset: true },
    );
  const choose = (period: string) => {
    const range = { since: dayOf(asked.since), until: dayOf(new Date(Math.min(asked.until.getTime() - DAY_MS, Date.now()))) };
    const days = period === "range" ? range : { since: "", until: "" };
    set({ period: period === "month" ? "" : period, ...days });
  };
  const names = projects.map((one) => one.name);
  if (asked.project && !names.includes(asked.project)) names.push(asked.project);
  return (
    <Group gap="sm" wrap="wrap" role="group" aria-label={t("filters.label")}>
      <SegmentedControl
        aria-label={t("filters.period")}
        value={asked.period}
        onChange={choose}
        data={PERIODS.map((name) => ({ value: name, label: t(`period.${name}`) }))}
      />
      {asked.period === "range" && (
        <Group gap="xs" wrap="nowrap">
          <TextInput
            type="date"
            aria-label={t("filters.first")}
            value={asked.first}
            max={asked.last || undefined}
            onChange={(event) => set({ since: event.currentTarget.value })}
          />
          <span aria-hidden>–</span>
          <TextInput
            type="date"
            aria-label={t("filters.last")}
            value={asked.last}
            min={asked.first || undefined}
            onChange={(event) => set({ until: event.currentTarget.value })}
          />
        </Group>
      )}
      <Select
        aria-label={t("filters.project")}
        placeholder={t("filters.allProjects")}
        data={names}
        value={asked.project || null}
        onChange={(name) => set({ project: name ?? "" })}
        clearable
        searchable={names.length > 8}
        w={180}
      />
    </Group>
  );
}
