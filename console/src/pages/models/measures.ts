/** Evaluations side by side: pure. */
import type { Evaluation, Version } from "./data";

export const MEASURES = ["accuracy", "precision", "recall", "f1"] as const;
export type Measure = (typeof MEASURES)[number];

/** 0.97555 → 0.9756. */
export function score(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : value.toFixed(4);
}

/** The newest evaluation of a version on this data that succeeded. */
export function measured(version: Version, data: string): Evaluation | null {
  return (version.evaluations ?? []).find((one) => one.data === data && one.state === "succeeded") ?? null;
}

/** The data that versions were evaluated on, that of most versions first. */
export function dataOf(versions: Version[]): string[] {
  const counts = new Map<string, number>();
  for (const version of versions) {
    const evaluated = (version.evaluations ?? []).filter((one) => one.state === "succeeded").map((one) => one.data);
    for (const data of new Set(evaluated)) counts.set(data, (counts.get(data) ?? 0) + 1);
  }
  return [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)! || a.localeCompare(b, undefined, { numeric: true }));
}

/** The highest value of a measure among versions; null where fewer than two have one, as then none is better. */
export function best(versions: Version[], data: string, measure: Measure): number | null {
  const values = versions.flatMap((version) => measured(version, data)?.[measure] ?? []);
  return values.length > 1 ? Math.max(...values) : null;
}

export interface ClassMeasures {
  label: string;
  precision: number;
  recall: number;
  f1: number;
  support: number;
}

/** `per_class` as rows, in the order of the labels. */
export function perClass(evaluation: Evaluation): ClassMeasures[] {
  const found = (evaluation.per_class ?? {}) as Record<string, Partial<ClassMeasures>>;
  return (evaluation.labels ?? []).flatMap((label) => {
    const one = found[label];
    if (!one) return [];
    return [{ label, precision: one.precision ?? 0, recall: one.recall ?? 0, f1: one.f1 ?? 0, support: one.support ?? 0 }];
  });
}

/** The classes that are mixed up most, worst first. */
export function confusedMost(evaluation: Evaluation, most = 5): { truth: string; called: string; count: number }[] {
  const labels = evaluation.labels ?? [];
  const found = (evaluation.confusion ?? []).flatMap((row, i) =>
    row.flatMap((count, j) => (i !== j && count ? [{ truth: labels[i] ?? "", called: labels[j] ?? "", count }] : [])),
  );
  return found.sort((a, b) => b.count - a.count).slice(0, most);
}
