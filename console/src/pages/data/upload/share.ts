import type { Progress } from "./Upload";

/** How much of the stage is done, from 0 to 1. */
export function doneShare({ stage, hashed, size, sent, lacking }: Progress): number {
  if (stage === "done") return 1;
  const [part, whole] = stage === "hashing" ? [hashed, size] : [sent, lacking];
  return whole > 0 ? Math.min(1, part / whole) : stage === "hashing" ? 0 : 1;
}
