import { useEffect, useState } from "react";
import { duration } from "@/ui/format";

/** How long ago, counting. */
export function Elapsed({ since }: { since: string }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.floor((now - new Date(since).getTime()) / 1000));
  return <time dateTime={since}>{seconds < 10 ? `${seconds}s` : duration(seconds)}</time>;
}
