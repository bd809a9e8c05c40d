/** How the charts are drawn: search, axis, smoothing, groups, logarithms. */
import { Button, Checkbox, Popover, SegmentedControl, Select, Slider, Stack } from "@mantine/core";
import { IconAdjustmentsHorizontal } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { XKind } from "@/ui/charts/LineChart";
import { SearchFilter } from "@/ui/Filters";
import classes from "./Charts.module.css";
import type { Change, ChartSettings } from "./settings";

interface Props {
  settings: ChartSettings;
  change: Change;
  /** Params to group runs by; none: one run, which has no groups. */
  params?: string[];
}

export function ChartBar({ settings, change, params = [] }: Props) {
  const { t } = useTranslation("runs");
  const more = [settings.logX, settings.logY, settings.together].filter(Boolean).length + (settings.hidden.length > 0 ? 1 : 0);
  return (
    <div className={classes.bar} role="toolbar" aria-label={t("charts.settings")}>
      <SearchFilter label={t("charts.find")} value={settings.find} onChange={(find) => change({ find })} w={176} />
      <SegmentedControl
        aria-label={t("charts.axis")}
        value={settings.x}
        onChange={(x) => change({ x: x as XKind })}
        data={[
          { value: "step", label: t("charts.step") },
          { value: "time", label: t("charts.time") },
          { value: "relative", label: t("charts.relative") },
        ]}
      />
      <Smoothing value={settings.smooth} set={(smooth) => change({ smooth })} />
      {params.length > 0 && (
        <Select
          aria-label={t("charts.group")}
          placeholder={t("charts.group")}
          data={params}
          value={settings.group || null}
          onChange={(group) => change({ group: group ?? "" })}
          clearable
          clearButtonProps={{ "aria-label": t("charts.ungroup") }}
          searchable
          w={152}
        />
      )}
      <Popover position="bottom-end" withinPortal>
        <Popover.Target>
          <Button variant="default" leftSection={<IconAdjustmentsHorizontal size={14} />}>
            {more > 0 ? t("charts.optionsCount", { count: more }) : t("charts.options")}
          </Button>
        </Popover.Target>
        <Popover.Dropdown>
          <Stack gap="sm">
            <Checkbox label={t("charts.logX")} checked={settings.logX} onChange={(event) => change({ logX: event.currentTarget.checked })} />
            <Checkbox label={t("charts.logY")} checked={settings.logY} onChange={(event) => change({ logY: event.currentTarget.checked })} />
            <Checkbox label={t("charts.together")} checked={settings.together} onChange={(event) => change({ together: event.currentTarget.checked })} />
            {settings.zoom.size > 0 && (
              <Button variant="default" onClick={() => change({ zoom: new Map() })}>
                {t("charts.resetAll")}
              </Button>
            )}
            {settings.hidden.length > 0 && (
              <Button variant="default" onClick={() => change({ hidden: [] })}>
                {t("charts.unhide", { count: settings.hidden.length })}
              </Button>
            )}
          </Stack>
        </Popover.Dropdown>
      </Popover>
    </div>
  );
}

/** The slider follows the hand at once; the charts and the address come after it. */
function Smoothing({ value, set }: { value: number; set: (value: number) => void }) {
  const { t } = useTranslation("runs");
  const [draft, setDraft] = useState<number | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const shown = draft ?? value;
  const change = (wanted: number) => {
    setDraft(wanted);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      set(wanted);
      setDraft(null);
    }, 60);
  };
  return (
    <div className={classes.smooth}>
      <span>{t("charts.smoothing")}</span>
      <Slider className={classes.slider} size="xs" min={0} max={0.99} step={0.01} value={shown} onChange={change} label={null} thumbLabel={t("charts.smoothing")} />
      <span className={classes.digits}>{shown.toFixed(2)}</span>
    </div>
  );
}
