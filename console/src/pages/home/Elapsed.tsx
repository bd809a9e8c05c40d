import { duration } from "@/ui/format";
import { useNow } from "@/ui/ticking";

/** How long ago, counting. */
export function Elapsed({ since }: { since: string }) {
  const now = useNow(true);
  const seconds = Math.max(0, Math.floor((now - new Date(since).getTime()) / 1000));
  return <time dateTime={since}>{seconds < 10 ? `${seconds}s` : duration(seconds)}</time>;
}
