/** The curves of several keys that are drawn in one chart. */
import { useCallback, useEffect, useMemo, useSyncExternalStore } from "react";
import type { ChartFeed, Range, Shown } from "../charts/chartFeed";

/** Reads what is shown of the keys: the same array as long as nothing changed. */
function reader(feed: ChartFeed, keys: readonly string[]): () => readonly Shown[] {
  let before: readonly Shown[] = [];
  return () => {
    const now = keys.map((key) => feed.shown(key));
    if (now.length !== before.length || now.some((one, at) => one !== before[at])) before = now;
    return before;
  };
}

/** What is shown of each key, in their order; the same array until one changed. */
export function useManyCurves(feed: ChartFeed, keys: readonly string[], range: Range | null): readonly Shown[] {
  const joined = keys.join("\n");
  const [low, high] = [range?.[0], range?.[1]];
  useEffect(() => {
    for (const key of joined.split("\n")) feed.zoom(key, low === undefined || high === undefined ? null : [low, high]);
  }, [feed, joined, low, high]);
  const subscribe = useCallback(
    (tell: () => void) => {
      const leave = joined.split("\n").map((key) => feed.watch(key, tell));
      return () => leave.forEach((one) => one());
    },
    [feed, joined],
  );
  const read = useMemo(() => reader(feed, joined.split("\n")), [feed, joined]);
  return useSyncExternalStore(subscribe, read);
}
