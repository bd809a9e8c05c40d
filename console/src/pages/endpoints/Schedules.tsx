/** Hours of the week with other bounds: a list for those who look, a form for those who may change them. */
import { ActionIcon, Button, Checkbox, Group, TextInput } from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import classes from "./endpoints.module.css";
import { NEW, type ScheduleDraft, WEEK } from "./schedules";

/** The 1st of January 2024 was a Monday, day 0. */
function useDays(): (day: number) => string {
  const { i18n } = useTranslation();
  const format = new Intl.DateTimeFormat(i18n.language, { weekday: "short", timeZone: "UTC" });
  return (day) => format.format(Date.UTC(2024, 0, 1 + day));
}

export function Schedules({ schedules }: { schedules: ScheduleDraft[] }) {
  const { t } = useTranslation("endpoints");
  const name = useDays();
  if (!schedules.length) return null;
  return (
    <ul className={classes.schedules}>
      {schedules.map(({ days, ...one }, at) => (
        <li key={at}>{t("settings.schedule", { days: days.map(name).join(t("comma")), ...one })}</li>
      ))}
    </ul>
  );
}

export function ScheduleFields({ schedules, set }: { schedules: ScheduleDraft[]; set: (next: ScheduleDraft[]) => void }) {
  const { t } = useTranslation("endpoints");
  const name = useDays();
  const change = (at: number, part: Partial<ScheduleDraft>) => set(schedules.map((one, index) => (index === at ? { ...one, ...part } : one)));
  const drop = (at: number) => set(schedules.filter((_, index) => index !== at));
  return (
    <fieldset className={classes.hours}>
      <legend>{t("settings.schedules")}</legend>
      <p className={classes.message}>{t("settings.schedulesText")}</p>
      {schedules.map((one, at) => (
        <Group key={at} gap="sm" align="flex-end" role="group" aria-label={t("settings.scheduleNumber", { number: at + 1 })}>
          <Checkbox.Group label={t("settings.days")} value={one.days.map(String)} onChange={(days) => change(at, { days: days.map(Number) })}>
            <Group gap="xs" h={36}>
              {WEEK.map((day) => (
                <Checkbox key={day} value={String(day)} label={name(day)} size="xs" />
              ))}
            </Group>
          </Checkbox.Group>
          <TextInput label={t("settings.from")} type="time" required withAsterisk={false} value={one.from} onChange={(event) => change(at, { from: event.currentTarget.value })} w={110} />
          <TextInput label={t("settings.to")} type="time" required withAsterisk={false} value={one.to} onChange={(event) => change(at, { to: event.currentTarget.value })} w={110} />
          <TextInput label={t("settings.min_replicas")} inputMode="numeric" required withAsterisk={false} value={one.least} onChange={(event) => change(at, { least: event.currentTarget.value })} w={130} autoComplete="off" />
          <TextInput label={t("settings.max_replicas")} inputMode="numeric" required withAsterisk={false} value={one.most} onChange={(event) => change(at, { most: event.currentTarget.value })} w={130} autoComplete="off" />
          <ActionIcon variant="default" size="input-sm" onClick={() => drop(at)} aria-label={t("settings.dropSchedule", { number: at + 1 })}>
            <IconX size={14} />
          </ActionIcon>
        </Group>
      ))}
      <Button variant="default" size="xs" leftSection={<IconPlus size={12} />} onClick={() => set([...schedules, NEW])}>
        {t("settings.addSchedule")}
      </Button>
    </fieldset>
  );
}
