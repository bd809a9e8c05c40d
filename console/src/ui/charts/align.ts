/** Series of their own x become columns over one x, as uPlot draws them. Pure. */

export interface LineSeries {
  id: string;
  label: string;
  color: string;
  x: number[];
  /** null: a gap (NaN and infinities come as null). */
  y: (number | null)[];
  /** The band: least and greatest around each x. */
  lower?: (number | null)[] | undefined;
  upper?: (number | null)[] | undefined;
  /** The raw values, drawn faint under the line. */
  faint?: (number | null)[] | undefined;
  dashed?: boolean;
}

export type Part = "lower" | "upper" | "faint" | "y";
export interface Drawn {
  series: number;
  part: Part;
}
export type Cell = number | null | undefined;

/** What is drawn, bottom first: bands, then faint lines, then lines. */
export function layers(series: readonly LineSeries[]): Drawn[] {
  const found: Drawn[] = [];
  series.forEach((one, at) => {
    if (one.lower && one.upper) found.push({ series: at, part: "upper" }, { series: at, part: "lower" });
  });
  series.forEach((one, at) => {
    if (one.faint) found.push({ series: at, part: "faint" });
  });
  series.forEach((_, at) => found.push({ series: at, part: "y" }));
  return found;
}

function same(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at += 1) if (a[at] !== b[at]) return false;
  return true;
}

/** Every x of any series, ascending, each once. */
export function union(columns: readonly (readonly number[])[]): number[] {
  const first = columns[0] ?? [];
  if (columns.every((one) => same(one, first))) return first.filter((value, at) => at === 0 || value !== first[at - 1]);
  const all = new Float64Array(columns.reduce((sum, one) => sum + one.length, 0));
  let end = 0;
  for (const one of columns) {
    all.set(one, end);
    end += one.length;
  }
  all.sort();
  const found: number[] = [];
  for (const value of all) if (found.length === 0 || value !== found[found.length - 1]) found.push(value);
  return found;
}

/**
 * One x and a column per layer. Where a series has no point at an x its cell is `undefined`, over which its line
 * goes on; `null` is a gap. On a logarithmic axis what is not greater than zero is a gap, or left out of x.
 */
export function align(
  series: readonly LineSeries[],
  drawn: readonly Drawn[],
  { logX = false, logY = false }: { logX?: boolean; logY?: boolean } = {},
): [number[], ...Cell[][]] {
  const whole = union(series.map((one) => one.x));
  const x = logX ? whole.filter((value) => value > 0) : whole;
  const columns = drawn.map(({ series: at, part }) => {
    const one = series[at]!;
    const values = one[part]!;
    const column = new Array<Cell>(x.length);
    let from = 0;
    for (let to = 0; to < x.length; to += 1) {
      while (from < one.x.length && one.x[from]! < x[to]!) from += 1;
      while (from + 1 < one.x.length && one.x[from + 1] === x[to]) from += 1;
      if (from < one.x.length && one.x[from] === x[to]) {
        const value = values[from] ?? null;
        column[to] = logY && value !== null && value <= 0 ? null : value;
      }
    }
    return column;
  });
  return [x, ...columns];
}

/** The index of the entry of `x` nearest to `value`; -1 of none. */
export function nearest(x: readonly number[], value: number): number {
  if (x.length === 0) return -1;
  let low = 0;
  let high = x.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle]! <= value) low = middle;
    else high = middle;
  }
  return Math.abs(x[low]! - value) <= Math.abs(x[high]! - value) ? low : high;
}
