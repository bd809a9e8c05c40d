/** What a model answered, as something to look at. Pure. */
import type { Schemas } from "@/api/client";

export type Prediction = Schemas["Prediction"];
export type Output = Prediction["outputs"][number];

export interface ClassBar {
  label: string;
  /** What the model gave. */
  value: number;
  /** 0 to 1: `value` itself, or the softmax of scores. */
  share: number;
}

export type Shown =
  | { kind: "classes"; name: string; bars: ClassBar[]; softmax: boolean }
  | { kind: "value"; name: string; value: string }
  | { kind: "values"; name: string; values: string[] }
  | { kind: "tensor"; name: string; shape: number[]; datatype: string; data: unknown[] };

const MOST_VALUES = 64;

/** Outputs of one sample as probabilities, single values, or a tensor as it is. */
export function shown(output: Output, labels: string[] | null): Shown {
  const { name, shape, datatype, data } = output;
  const float = datatype.startsWith("FP");
  const numbers = data.every((value) => typeof value === "number" && Number.isFinite(value)) ? (data as number[]) : null;
  const size = shape.length > 1 ? shape.slice(1).reduce((product, one) => product * one, 1) : 1;
  if (data.length === 1) return { kind: "value", name, value: word(data[0], float ? null : labels) };
  const classes = float && numbers && shape.length >= 2 && shape[0] === 1 && size === data.length && Math.max(...shape.slice(1)) === size;
  if (classes) {
    const sum = numbers.reduce((total, value) => total + value, 0);
    const probabilities = numbers.every((value) => value >= -1e-6 && value <= 1 + 1e-6) && Math.abs(sum - 1) < 0.01;
    const shares = probabilities ? numbers : softmax(numbers);
    const named = labels?.length === numbers.length ? labels : null;
    return {
      kind: "classes",
      name,
      softmax: !probabilities,
      bars: numbers.map((value, at) => ({ label: named?.[at] ?? String(at), value, share: Math.min(1, Math.max(0, shares[at]!)) })),
    };
  }
  if (shape.length === 1 && data.length <= MOST_VALUES) return { kind: "values", name, values: data.map((value) => word(value, null)) };
  return { kind: "tensor", name, shape, datatype, data };
}

/** A class by its name where it is a number and the names are known. */
function word(value: unknown, labels: string[] | null): string {
  if (typeof value === "number") {
    if (labels && Number.isInteger(value) && labels[value] !== undefined) return labels[value];
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  }
  return value === null ? "NaN" : String(value);
}

export function softmax(scores: number[]): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((power) => power / sum);
}

/** The class bars, the most likely first, where there are too many to show all. */
export function ranked(bars: ClassBar[], most: number): ClassBar[] {
  return bars.length <= most ? bars : [...bars].sort((a, b) => b.share - a.share).slice(0, most);
}

/** The place of the largest share. */
export function argmax(bars: ClassBar[]): number {
  return bars.reduce((best, bar, at) => (bar.share > bars[best]!.share ? at : best), 0);
}

/** The rows of an answer to several samples: a column for each output, the class where it gives scores. */
export function answerRows(prediction: Prediction, labels: string[] | null): { columns: string[]; rows: string[][] } {
  const count = prediction.outputs[0]?.shape[0] ?? 0;
  const columns = prediction.outputs.map((output) => output.name);
  const rows = Array.from({ length: count }, (_, row) =>
    prediction.outputs.map((output) => {
      const size = output.data.length / count;
      const part = output.data.slice(row * size, (row + 1) * size);
      const one = shown({ ...output, shape: [1, ...output.shape.slice(1)], data: part }, labels);
      if (one.kind === "classes") {
        const bar = one.bars[argmax(one.bars)]!;
        return `${bar.label} (${(100 * bar.share).toFixed(1)} %)`;
      }
      if (one.kind === "value") return one.value;
      return JSON.stringify(part);
    }),
  );
  return { columns, rows };
}
