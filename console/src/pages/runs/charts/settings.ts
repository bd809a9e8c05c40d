/** How charts are drawn, as the address keeps it. */
import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";
import type { Range, XKind } from "@/ui/charts/LineChart";

export interface ChartSettings {
  /** Pattern of the keys that are shown. */
  find: string;
  x: XKind;
  logX: boolean;
  logY: boolean;
  /** Weight of the moving average: 0 is none. */
  smooth: number;
  /** The param whose values make groups; empty: each run is drawn. */
  group: string;
  /** Keys that stand first, in their order. */
  pinned: string[];
  hidden: string[];
  /** Sections that are closed. */
  closed: string[];
  /** Whether a zoom is of all charts. */
  together: boolean;
  /** Shown part of the axis by key; `*` is all charts. */
  zoom: ReadonlyMap<string, Range>;
  /** The key whose chart fills the window. */
  full: string;
}

const KINDS: readonly string[] = ["step", "time", "relative"];
const MOST_SMOOTH = 0.99;

/** Numbers as short as they can be without being others on the screen. */
const short = (value: number) => String(Number(value.toPrecision(12)));

export function settingsOf(params: URLSearchParams): ChartSettings {
  const x = params.get("x") ?? "step";
  const smooth = Number(params.get("smooth") ?? 0);
  const zoom = new Map<string, Range>();
  for (const text of params.getAll("zoom")) {
    const [low, high, ...key] = text.split("~");
    const range: Range = [Number(low), Number(high)];
    if (low && high && Number.isFinite(range[0]) && range[0] < range[1]) zoom.set(key.join("~"), range);
  }
  return {
    find: params.get("find") ?? "",
    x: (KINDS.includes(x) ? x : "step") as XKind,
    logX: params.has("logx"),
    logY: params.has("logy"),
    smooth: Number.isFinite(smooth) ? Math.min(MOST_SMOOTH, Math.max(0, smooth)) : 0,
    group: params.get("group") ?? "",
    pinned: params.getAll("pin"),
    hidden: params.getAll("hide"),
    closed: params.getAll("closed"),
    together: params.has("together"),
    zoom,
    full: params.get("full") ?? "",
  };
}

/** The parameters with these settings; what is as at first is not written. */
export function withSettings(before: URLSearchParams, change: Partial<ChartSettings>): URLSearchParams {
  const after = new URLSearchParams(before);
  const put = (name: string, values: readonly string[]) => {
    after.delete(name);
    for (const value of values) if (value) after.append(name, value);
  };
  if (change.find !== undefined) put("find", [change.find]);
  if (change.x !== undefined) {
    put("x", [change.x === "step" ? "" : change.x]);
    put("zoom", []); // places on another axis mean nothing on this one
  }
  if (change.logX !== undefined) put("logx", [change.logX ? "1" : ""]);
  if (change.logY !== undefined) put("logy", [change.logY ? "1" : ""]);
  if (change.smooth !== undefined) put("smooth", [change.smooth > 0 ? short(change.smooth) : ""]);
  if (change.group !== undefined) put("group", [change.group]);
  if (change.pinned !== undefined) put("pin", change.pinned);
  if (change.hidden !== undefined) put("hide", change.hidden);
  if (change.closed !== undefined) put("closed", change.closed);
  if (change.together !== undefined) {
    put("together", [change.together ? "1" : ""]);
    put("zoom", []);
  }
  if (change.zoom !== undefined) put("zoom", [...change.zoom].map(([key, [low, high]]) => `${short(low)}~${short(high)}~${key}`));
  if (change.full !== undefined) put("full", [change.full]);
  return after;
}

export type Change = (change: Partial<ChartSettings>) => void;

export function useChartSettings(): [ChartSettings, Change] {
  const [params, setParams] = useSearchParams();
  const settings = useMemo(() => settingsOf(params), [params]);
  const change = useCallback<Change>(
    (one) => setParams((before) => withSettings(before, one), { replace: true, preventScrollReset: true }),
    [setParams],
  );
  return [settings, change];
}

/** The part of the axis that a key's chart shows. */
export function rangeOf(settings: ChartSettings, key: string): Range | null {
  return settings.zoom.get(settings.together ? "*" : key) ?? null;
}

export function zoomed(settings: ChartSettings, key: string, range: Range | null): Partial<ChartSettings> {
  const zoom = new Map(settings.zoom);
  const name = settings.together ? "*" : key;
  if (range) zoom.set(name, range);
  else zoom.delete(name);
  return { zoom };
}
