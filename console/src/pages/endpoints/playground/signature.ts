/** What a signature says about how its inputs can be given. Pure. */
import type { Schemas } from "@/api/client";

export type Signature = Schemas["Signature"];
export type Tensor = Signature["inputs"][number];
export type Question = Schemas["Question"];

export interface ImageShape {
  width: number;
  height: number;
  channels: 1 | 3;
  /** Where the channels stand; `flat` has all pixels in one dimension. */
  layout: "hw" | "chw" | "hwc" | "flat";
  /** Whether the model leaves the size open: then it is ours to choose. */
  open: boolean;
}

export type Way = "draw" | "image" | "features" | "text" | "raw";

const LARGEST = 4096;
const LARGEST_DRAWN = 64;
const OPEN_SIZE = 224;
/** Lengths that are squares, and much more often an image than a row of a table. */
const SQUARES = new Map([[64, 8], [256, 16], [784, 28], [1024, 32], [4096, 64]]);
const MOST_FEATURES = 512;

const isNumber = (tensor: Tensor) => tensor.datatype !== "BYTES" && tensor.datatype !== "BOOL";

/** How the model's only input is an image; null where it is none, or there are more inputs. */
export function imageOf(signature: Signature): ImageShape | null {
  const tensor = signature.inputs[0];
  if (!tensor || signature.inputs.length > 1 || !isNumber(tensor)) return null;
  const rest = tensor.shape.length > 1 ? tensor.shape.slice(1) : tensor.shape;
  if (rest.length === 1) {
    const side = SQUARES.get(rest[0]!);
    return side ? { width: side, height: side, channels: 1, layout: "flat", open: false } : null;
  }
  if (rest.length === 2) return sized(rest[1]!, rest[0]!, 1, "hw");
  if (rest.length !== 3) return null;
  const [a, b, c] = rest as [number, number, number];
  if (a === 1 || a === 3) return sized(c, b, a, "chw");
  if (c === 1 || c === 3) return sized(b, a, c, "hwc");
  return null;
}

function sized(width: number, height: number, channels: 1 | 3, layout: ImageShape["layout"]): ImageShape | null {
  const open = width < 0 || height < 0;
  const shape = { width: width < 0 ? OPEN_SIZE : width, height: height < 0 ? OPEN_SIZE : height, channels, layout, open };
  // A matrix of open size is more often text or a table than an image.
  if (open && layout === "hw") return null;
  return Math.min(shape.width, shape.height) >= 4 && Math.max(shape.width, shape.height) <= LARGEST ? shape : null;
}

/** Columns of a table whose rows are samples; null where the inputs are not so. */
export function columnsOf(signature: Signature): { name: string; tensor: Tensor; at: number }[] | null {
  const { inputs } = signature;
  const [only] = inputs;
  if (inputs.length === 1 && only && only.shape.length === 2 && only.shape[0]! <= 1 && only.shape[1]! > 0) {
    const count = only.shape[1]!;
    if (count > MOST_FEATURES) return null;
    return Array.from({ length: count }, (_, at) => ({ name: count === 1 ? only.name : `${only.name}[${at}]`, tensor: only, at }));
  }
  const single = (shape: number[]) => (shape.length === 1 && shape[0]! <= 1) || (shape.length === 2 && shape[0]! <= 1 && shape[1] === 1);
  if (!inputs.length || !inputs.every((one) => single(one.shape))) return null;
  return inputs.map((tensor) => ({ name: tensor.name, tensor, at: 0 }));
}

/** The ways to give the inputs, the most natural first. */
export function waysOf(signature: Signature): Way[] {
  const ways: Way[] = [];
  const image = imageOf(signature);
  if (image && image.channels === 1 && Math.max(image.width, image.height) <= LARGEST_DRAWN) ways.push("draw");
  if (image) ways.push("image");
  const columns = columnsOf(signature);
  if (columns) ways.push(columns.length === 1 && columns[0]!.tensor.datatype === "BYTES" ? "text" : "features");
  ways.push("raw");
  return ways;
}

/** The shape of one sample: open dimensions are 1, or as `image` says. */
export function sampleShape(tensor: Tensor, image: ImageShape | null): number[] {
  const shape = tensor.shape.map((size) => (size < 0 ? 1 : size));
  if (!image?.open) return shape;
  const { width, height } = image;
  const sides: Record<ImageShape["layout"], number[]> = { chw: [height, width], hwc: [height, width, image.channels], hw: [height, width], flat: [] };
  const tail = sides[image.layout];
  return [...shape.slice(0, shape.length - tail.length), ...tail];
}

/** Something that the model takes, for a start. */
export function exampleOf(signature: Signature): Question {
  const image = imageOf(signature);
  return {
    inputs: signature.inputs.map((tensor) => {
      const shape = sampleShape(tensor, image);
      const count = shape.reduce((product, size) => product * size, 1);
      const zero = tensor.datatype === "BYTES" ? "" : tensor.datatype === "BOOL" ? false : 0;
      return { name: tensor.name, shape, datatype: tensor.datatype, data: Array.from({ length: count }, () => zero) };
    }),
  };
}

/** Rows of a table, as they were typed, as a question. `problem` names the first cell that is no value. */
export function questionOf(signature: Signature, rows: string[][]): { question: Question; problem: null } | { question: null; problem: { row: number; column: string } } {
  const columns = columnsOf(signature)!;
  const values: unknown[][] = [];
  for (const [row, cells] of rows.entries()) {
    const found: unknown[] = [];
    for (const [at, column] of columns.entries()) {
      const value = valueOf(cells[at] ?? "", column.tensor.datatype);
      if (value === null) return { question: null, problem: { row, column: column.name } };
      found.push(value);
    }
    values.push(found);
  }
  const single = signature.inputs.length === 1;
  const inputs = signature.inputs.map((tensor, input) => ({
    name: tensor.name,
    datatype: tensor.datatype,
    shape: tensor.shape.map((size, at) => (at === 0 ? rows.length : size)),
    data: single ? values.flat() : values.map((row) => row[input]),
  }));
  return { question: { inputs }, problem: null };
}

/** A cell as the datatype wants it; null where it is not one. */
export function valueOf(text: string, datatype: string): string | number | boolean | null {
  if (datatype === "BYTES") return text;
  const word = text.trim();
  if (datatype === "BOOL") {
    if (/^(1|true|yes)$/i.test(word)) return true;
    return /^(0|false|no)$/i.test(word) ? false : null;
  }
  const value = word === "" ? Number.NaN : Number(word);
  if (!Number.isFinite(value)) return null;
  return datatype.startsWith("FP") || Number.isInteger(value) ? value : null;
}

/** What was pasted: rows of a spreadsheet, CSV, or one row of numbers. A heading is left out. */
export function parsePasted(text: string): string[][] {
  const lines = text.trim().split(/\r?\n/).filter((line) => line.trim());
  const split = (line: string) => {
    const bare = line.trim().replace(/^\[|\],?$/g, "");
    const mark = bare.includes("\t") ? "\t" : /[,;]/.test(bare) ? /[,;]/ : /\s+/;
    return bare.split(mark).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
  };
  const rows = lines.map(split);
  const heading = rows.length > 1 && rows[0]!.every((cell) => cell !== "" && Number.isNaN(Number(cell)));
  return heading && rows[1]!.some((cell) => !Number.isNaN(Number(cell))) ? rows.slice(1) : rows;
}
