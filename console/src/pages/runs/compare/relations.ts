/** What parallel coordinates and the scatter plot draw of runs. Pure. */
import { numeric, type RunRecord } from "../facts";
import { telling } from "../table/columns";

/** A dimension: `params.lr`, `metrics.loss`. */
export interface Dimension {
  id: string;
  /** Texts in order; null: numbers. */
  categories: string[] | null;
  log: boolean;
}

export function valueOf(run: RunRecord, id: string): number | string | null {
  const dot = id.indexOf(".");
  const key = id.slice(dot + 1);
  if (id.startsWith("metrics.")) {
    const value = numeric(run.metrics?.[key]?.last);
    return value !== null && Number.isFinite(value) ? value : null;
  }
  const text = run.params?.[key];
  if (text === undefined || text === "") return null;
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}

/** A dimension is of numbers where every run's value is one; over three powers of ten it is logarithmic. */
export function dimension(runs: readonly RunRecord[], id: string): Dimension {
  const values = runs.map((run) => valueOf(run, id)).filter((value) => value !== null);
  if (values.some((value) => typeof value === "string")) {
    return { id, categories: [...new Set(values.map(String))].sort(), log: false };
  }
  const numbers = values as number[];
  const least = Math.min(...numbers);
  return { id, categories: null, log: numbers.length > 0 && least > 0 && Math.max(...numbers) / least >= 100 };
}

/** Params whose values differ, and metrics, that at least two runs have. */
export function choices(runs: readonly RunRecord[]): { params: string[]; metrics: string[] } {
  const of = (kind: "params" | "metrics") => {
    const keys = [...new Set(runs.flatMap((run) => Object.keys(run[kind] ?? {})))].sort();
    return keys.map((key) => `${kind}.${key}`).filter((id) => {
      const values = runs.map((run) => valueOf(run, id)).filter((value) => value !== null);
      return values.length > 1 && new Set(values).size > 1;
    });
  };
  return { params: of("params"), metrics: of("metrics").sort((a, b) => telling(nameOf(b)) - telling(nameOf(a))) };
}

export const nameOf = (id: string) => id.slice(id.indexOf(".") + 1);
