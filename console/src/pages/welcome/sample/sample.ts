/** The sample datasets: 1,797 handwritten digits as images, every fifth of them held out. */
import { type FileToPush, pushFolder } from "@/api/blobs";
import { api, ask } from "@/api/client";
import { grayPng } from "./png";

export interface Digit {
  digit: number;
  /** 8 rows of 8 pixels, 0 (white paper) to 255 (ink), as in scikit-learn: ink is bright. */
  pixels: Uint8Array;
}

export const SAMPLE = { training: "digits", held: "digits-test" } as const;
const SIDE = 8;
const LEVELS = 16;

/** The digits of the text: per line the digit, and a letter per pixel. */
export function parseDigits(text: string): Digit[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ({
      digit: Number(line[0]),
      pixels: Uint8Array.from(line.slice(1), (letter) => Math.round(((letter.charCodeAt(0) - 97) * 255) / LEVELS)),
    }));
}

/** As `starters/digits.py` splits them. */
export const isHeldOut = (_: unknown, index: number): boolean => index % 5 === 4;

/** One folder per digit. */
export function imagesOf(digits: Digit[]): FileToPush[] {
  const counts = new Map<number, number>();
  return digits.map(({ digit, pixels }) => {
    const number = (counts.get(digit) ?? 0) + 1;
    counts.set(digit, number);
    const data = new Blob([grayPng(pixels, SIDE, SIDE)], { type: "image/png" });
    return { path: `${digit}/${String(number).padStart(3, "0")}.png`, data };
  });
}

/** Make both datasets in the project; one that is there already with the same images stays as it is. */
export async function makeSamples(project: string, note: string): Promise<void> {
  const digits = parseDigits((await import("./digits.txt?raw")).default);
  const parts = {
    [SAMPLE.training]: digits.filter((digit, index) => !isHeldOut(digit, index)),
    [SAMPLE.held]: digits.filter(isHeldOut),
  };
  for (const [dataset, part] of Object.entries(parts)) {
    const { manifest } = await pushFolder(project, imagesOf(part));
    await ask(
      api.POST("/api/v1/projects/{project}/data/{dataset}/versions", {
        params: { path: { project, dataset } },
        body: { manifest, note },
      }),
    );
  }
}
