import { crc32, inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import text from "./digits.txt?raw";
import { grayPng } from "./png";
import { imagesOf, isHeldOut, parseDigits } from "./sample";

describe("the digits", () => {
  const digits = parseDigits(text);

  it("are all there, of every kind, from white to ink", () => {
    expect(digits).toHaveLength(1797);
    expect(new Set(digits.map(({ digit }) => digit)).size).toBe(10);
    expect(digits.every(({ pixels }) => pixels.length === 64)).toBe(true);
    expect(Math.max(...digits.flatMap(({ pixels }) => [...pixels]))).toBe(255);
    // scikit-learn's first digit begins with 0, 0, 5, 13, 9, 1 of 16.
    expect([...digits[0]!.pixels.slice(0, 6)]).toEqual([0, 0, 80, 207, 143, 16]);
    expect(digits.slice(0, 10).map(({ digit }) => digit)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("become files in a folder per digit, none of them twice", () => {
    const training = imagesOf(digits.filter((one, at) => !isHeldOut(one, at)));
    const held = imagesOf(digits.filter(isHeldOut));
    expect([training.length, held.length]).toEqual([1438, 359]);
    expect(new Set(training.map(({ path }) => path)).size).toBe(1438);
    expect(training[0]!.path).toBe("0/001.png");
    expect(new Set(held.map(({ path }) => path.split("/")[0])).size).toBe(10);
  });
});

describe("grayPng", () => {
  it("holds the pixels, and every chunk its checksum", () => {
    const pixels = Uint8Array.from({ length: 12 }, (_, i) => i * 20);
    const file = Buffer.from(grayPng(pixels, 4, 3));
    const chunks = new Map<string, Buffer>();
    for (let at = 8; at < file.length; ) {
      const length = file.readUInt32BE(at);
      const type = file.toString("latin1", at + 4, at + 8);
      expect(file.readUInt32BE(at + 8 + length), type).toBe(crc32(file.subarray(at + 4, at + 8 + length)));
      chunks.set(type, file.subarray(at + 8, at + 8 + length));
      at += 12 + length;
    }
    expect([...chunks.keys()]).toEqual(["IHDR", "IDAT", "IEND"]);
    expect([chunks.get("IHDR")!.readUInt32BE(0), chunks.get("IHDR")!.readUInt32BE(4)]).toEqual([4, 3]);
    const rows = inflateSync(chunks.get("IDAT")!);
    expect([...rows]).toEqual([0, ...pixels.slice(0, 4), 0, ...pixels.slice(4, 8), 0, ...pixels.slice(8)]);
  });
});
