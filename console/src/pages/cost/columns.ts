/** Money in a column: the same number of decimals in each row, so that the points stand below each other. */
import { money } from "@/ui/format";

/** How the sums of one column read. As many decimals as its largest needs; what rounds to nothing is "< 0.01". */
export function column(sums: Iterable<number | undefined>, currency: string): (micros: number | undefined) => string {
  const most = Math.max(0, ...[...sums].map((sum) => sum ?? 0));
  const digits = most === 0 || most >= 100_000 ? 2 : most >= 100 ? 4 : 6;
  const least = 10 ** (6 - digits);
  return (micros) => {
    if (micros === undefined) return money(undefined, currency);
    const small = micros > 0 && micros < least / 2;
    return `${small ? "< " : ""}${((small ? least : micros) / 1e6).toFixed(digits)} ${currency}`;
  };
}

/** How the marks of an axis read that are `step` micros apart: with as many decimals as tell them apart. */
export function marks(step: number, currency: string): (micros: number) => string {
  let digits = 2;
  while (digits < 6 && step % 10 ** (6 - digits) !== 0) digits += 1;
  return (micros) => `${(micros / 1e6).toFixed(digits)} ${currency}`;
}
