/** Pixels as the numbers that a model was trained on. Pure. */
import type { Grey } from "./ink";
import { type ImageShape, type Question, sampleShape, type Tensor } from "./signature";

/** What black and white are: 0 to 1, to 16, to 255; -1 to 1; or ImageNet's means and deviations. */
export const RANGES = ["1", "16", "255", "signed", "imagenet"] as const;
export type Range = (typeof RANGES)[number];

const MEAN = [0.485, 0.456, 0.406];
const DEVIATION = [0.229, 0.224, 0.225];

/** One plane (grey) or three (red, green, blue) of values from 0 to 1. */
export interface Planes {
  width: number;
  height: number;
  planes: Float32Array[];
}

export const ofGrey = (image: Grey): Planes => ({ width: image.width, height: image.height, planes: [image.values] });

/** The likely range, by the datatype, the size, and, where somebody knows it, the largest value of the data. */
export function guessRange(tensor: Tensor, image: ImageShape, most: number | null = null): Range {
  if (most !== null && most > 0) return most <= 1.5 ? "1" : most <= 20 ? "16" : "255";
  if (/^U?INT/.test(tensor.datatype)) return image.width <= 10 ? "16" : "255";
  if (image.width <= 10) return "16";
  return image.channels === 3 && image.width >= 160 ? "imagenet" : "1";
}

function scaled(value: number, range: Range, plane: number): number {
  if (range === "imagenet") return (value - MEAN[plane]!) / DEVIATION[plane]!;
  if (range === "signed") return 2 * value - 1;
  return value * Number(range);
}

/** The model's input. Whole numbers where the datatype has no others; else five digits, which is more than a screen has. */
export function inputOf(tensor: Tensor, image: ImageShape, { planes }: Planes, range: Range, invert: boolean): Question["inputs"][number] {
  const whole = /^U?INT/.test(tensor.datatype);
  const size = image.width * image.height;
  const value = (plane: number, at: number) => {
    const raw = planes[Math.min(plane, planes.length - 1)]![at]!;
    const number = scaled(invert ? 1 - raw : raw, range, plane);
    return whole ? Math.round(number) : Number(number.toFixed(5));
  };
  const data: number[] = [];
  if (image.layout === "hwc") {
    for (let at = 0; at < size; at += 1) for (let plane = 0; plane < image.channels; plane += 1) data.push(value(plane, at));
  } else {
    for (let plane = 0; plane < image.channels; plane += 1) for (let at = 0; at < size; at += 1) data.push(value(plane, at));
  }
  return { name: tensor.name, datatype: tensor.datatype, shape: sampleShape(tensor, image), data };
}

/** Red, green and blue as the eye weighs them. */
export function greyOf(image: Planes): Grey {
  const [red, green, blue] = image.planes;
  if (!green || !blue) return { width: image.width, height: image.height, values: red! };
  return { width: image.width, height: image.height, values: red!.map((value, at) => 0.299 * value + 0.587 * green[at]! + 0.114 * blue[at]!) };
}
