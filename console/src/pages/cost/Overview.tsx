/** Total and forecast, day by day, and what cost most. */
import { Button, Group, SegmentedControl, Stack } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { PALETTE } from "@/ui/charts/colors";
import { Cli } from "@/ui/Cli";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { tellError } from "@/ui/notify";
import { useUrlState } from "@/ui/useUrlState";
import classes from "./Overview.module.css";
import { DayBars } from "./DayBars";
import { DayTable } from "./DayTable";
import { Filters } from "./Filters";
import { Groups } from "./Groups";
import { byDay, csv, groups, type Key, KEYS } from "./lines";
import { dayOf, daysOf } from "./period";
import { Subjects } from "./Subjects";
import { Tiles } from "./Tiles";
import { type Asked, useAsked } from "./useAsked";
import { readAll, useDays, useForecast } from "./useCost";
import { fullDay, monthName } from "./words";

const DAY_MS = 86_400_000;
/** More groups than that are drawn as one: so many colours of the palette are told apart at a glance. */
const DRAWN = 8;
const OTHERS = "\0others";

export function Overview() {
  const { t, i18n } = useTranslation("cost");
  const asked = useAsked();
  const [by, setBy] = useUrlState("by", "kind");
  const [shape, setShape] = useUrlState("show", "chart");
  const key: Key = KEYS.find((one) => one === by) ?? "kind";
  const cost = useDays(asked, key);
  const forecast = useForecast(asked.project);
  const last = new Date(asked.until.getTime() - DAY_MS);
  const name = asked.period === "range" || asked.period === "week"
    ? t("period.days", { first: fullDay(dayOf(asked.since), i18n.language), last: fullDay(dayOf(last), i18n.language) })
    : monthName(dayOf(asked.since).slice(0, 7), i18n.language);
  const error = cost.error ?? forecast.error;
  if (error && !cost.data) return <Failure error={error} retry={() => void cost.refetch()} />;
  return (
    <Stack gap="lg">
      <Group justify="space-between" gap="sm" className={classes.filters}>
        <Filters asked={asked} />
        <Export asked={asked} />
      </Group>
      <Tiles cost={cost.data} period={name} forecast={forecast.data} />
      {!cost.data ? (
        <Loading />
      ) : cost.data.lines.length === 0 ? (
        <Empty title={t("empty.title")} cli={["nacre", "run", "train.py"]}>
          {t("empty.text")}
        </Empty>
      ) : (
        <>
          <section className="n-card" aria-labelledby="cost-days">
            <div className={classes.head}>
              <h2 id="cost-days" className={classes.title}>
                {t("days.title")}
              </h2>
              <Group gap="sm" ml="auto">
                <SegmentedControl
                  aria-label={t("by.label")}
                  value={key}
                  onChange={setBy}
                  data={KEYS.map((one) => ({ value: one, label: t(`by.${one}`) }))}
                />
                <SegmentedControl
                  aria-label={t("show.label")}
                  value={shape}
                  onChange={setShape}
                  data={[
                    { value: "chart", label: t("show.chart") },
                    { value: "table", label: t("show.table") },
                  ]}
                />
              </Group>
            </div>
            <div className={classes.body}>
              <Days lines={cost.data.lines} currency={cost.data.currency} by={key} asked={asked} table={shape === "table"} />
            </div>
          </section>
          <Groups lines={cost.data.lines} currency={cost.data.currency} by={key} total={cost.data.total} />
          <Subjects asked={asked} />
        </>
      )}
      <Group gap="sm">
        <Cli words={["nacre", ...(asked.project ? ["-p", asked.project] : []), "cost", "--by", `${key},day`, ...moments(asked)]} />
        <Cli words={["nacre", ...(asked.project ? ["-p", asked.project] : []), "cost", "--forecast"]} />
      </Group>
    </Stack>
  );
}

/** `--until` is left out where it is to come. */
function moments({ since, until }: Asked): string[] {
  const end = until.getTime() > Date.now() ? [] : ["--until", dayOf(until)];
  return ["--since", dayOf(since), ...end];
}

function Days({ lines, currency, by, asked, table }: {
  lines: Parameters<typeof byDay>[0];
  currency: string;
  by: Key;
  asked: Asked;
  table: boolean;
}) {
  const { t } = useTranslation("cost");
  const { days, parts } = useMemo(() => {
    const order = groups(lines, by).map((one) => one.name);
    const drawn = order.length > DRAWN ? order.slice(0, DRAWN - 1) : order;
    const few = lines.map((line) => (drawn.includes(line[by] ?? "") ? line : { ...line, [by]: OTHERS }));
    const colors = by === "kind" ? KIND_COLORS : new Map([...drawn].sort().map((name, at) => [name, PALETTE[at]!]));
    const names = drawn.length < order.length ? [...drawn, OTHERS] : drawn;
    return {
      days: byDay(few, by, daysOf(asked)),
      parts: names.map((name) => ({ name, color: colors.get(name) ?? "var(--n-idle)" })),
    };
  }, [lines, by, asked]);
  const named = parts.map((part) => ({
    ...part,
    label: part.name === OTHERS ? t("others") : by === "kind" ? t(`kind.${part.name}`, { defaultValue: part.name }) : part.name,
  }));
  const label = t("days.label", { key: t(`by.${by}`) });
  return table ? (
    <DayTable label={label} days={days} parts={named} currency={currency} />
  ) : (
    <DayBars label={label} days={days} parts={named} currency={currency} />
  );
}

/** Three colours that are told apart in both themes; each against the background as well. */
const KIND_COLORS = new Map([
  ["job", "#097bd2"],
  ["instance", "#0d8b40"],
  ["endpoint", "#a96b03"],
]);

function Export({ asked }: { asked: Asked }) {
  const { t } = useTranslation("cost");
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const found = await readAll(asked);
      const url = URL.createObjectURL(new Blob([csv(found.lines, found.currency)], { type: "text/csv" }));
      const link = document.createElement("a");
      link.href = url;
      link.download = `nacre-cost-${dayOf(asked.since)}-${dayOf(new Date(asked.until.getTime() - DAY_MS))}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      tellError(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button variant="default" leftSection={<IconDownload size={14} />} loading={busy} onClick={() => void save()}>
      {t("export")}
    </Button>
  );
}
