import { useCallback, useEffect, useMemo, useSyncExternalStore } from "react";
import { api, ask } from "@/api/client";
import { live } from "@/api/live";
import { ChartFeed, type FeedSpec, type Range, type Shown } from "./chartFeed";

/** The feed of a grid: one for as long as the grid is there. */
export function useFeed(project: string, spec: FeedSpec): ChartFeed {
  const feed = useMemo(
    () =>
      new ChartFeed(project, {
        chart: (body, signal) =>
          ask(api.POST("/api/v1/projects/{project}/runs/chart", { params: { path: { project } }, body, signal })),
        subscribe: (wanted, onData) => live.subscribe(wanted, onData),
      }),
    [project],
  );
  useEffect(() => feed.configure(spec), [feed, spec]);
  useEffect(() => () => feed.close(), [feed]);
  return feed;
}

/** The curves of a key, while the chart is there. */
export function useCurves(feed: ChartFeed, key: string, range: Range | null): Shown {
  const [low, high] = [range?.[0], range?.[1]];
  useEffect(() => feed.zoom(key, low === undefined || high === undefined ? null : [low, high]), [feed, key, low, high]);
  const subscribe = useCallback((tell: () => void) => feed.watch(key, tell), [feed, key]);
  return useSyncExternalStore(subscribe, () => feed.shown(key));
}
