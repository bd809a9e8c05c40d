import { describe, expect, it } from "vitest";
import { escapeAt, hueOf, hueOf256, lookOf, restyled } from "./ansi";
import { LogBuffer, wholeText } from "./LogViewBuffer";

const ESC = "\u001b";

function linesOf(...pieces: string[]): string[] {
  const buffer = new LogBuffer();
  for (const piece of pieces) buffer.push(piece);
  return Array.from({ length: buffer.length }, (_, i) => buffer.text(i));
}

/** The same text, cut at every place. */
function everyCut(text: string): string[][] {
  return Array.from({ length: text.length + 1 }, (_, i) => linesOf(text.slice(0, i), text.slice(i)));
}

describe("lines", () => {
  it("end at newlines, and a final newline begins none", () => {
    expect(linesOf("a\nb\n")).toEqual(["a", "b"]);
    expect(linesOf("a\n\nb")).toEqual(["a", "", "b"]);
    expect(linesOf("a\n\n")).toEqual(["a", ""]);
    expect(linesOf("")).toEqual([]);
    expect(linesOf("one\r\ntwo\r\n")).toEqual(["one", "two"]);
  });

  it("are the same wherever the pieces were cut", () => {
    const text = `a${ESC}[31mred${ESC}[0m\r\n${ESC}]0;title${ESC}\\x${ESC}(By\n10%\r99%\r\nend`;
    for (const found of everyCut(text)) expect(found).toEqual(["ared", "xy", "99%", "end"]);
  });

  it("have no control characters", () => {
    expect(linesOf("a\u0000b\u0007c\u007fd\u009be\tf")).toEqual(["abcde\tf"]);
  });
});

describe("progress bars", () => {
  it("write over their line from its beginning", () => {
    expect(linesOf("  0%|    | 0/3\r 33%|#   | 1/3", "\r100%|####| 3/3\nnext\n")).toEqual(["100%|####| 3/3", "next"]);
  });

  it("leave what is longer below, unless it is erased", () => {
    expect(linesOf("abcdef\rxy\n")).toEqual(["xycdef"]);
    expect(linesOf(`abcdef\rxy${ESC}[K\n`)).toEqual(["xy"]);
    expect(linesOf(`abcdef\r${ESC}[2Kxy\n`)).toEqual(["xy"]);
    expect(linesOf(`abc${ESC}[1Kx\n`)).toEqual(["   x"]);
  });

  it("of several lines are drawn again where they were", () => {
    const two = (n: number) => `\r outer ${n}\n inner ${n}${ESC}[A`;
    expect(linesOf("start\n", two(1), two(2), two(3), "\n\ndone\n")).toEqual(["start", " outer 3", " inner 3", "done"]);
  });

  it("of a hundred thousand steps are one line", () => {
    const buffer = new LogBuffer();
    for (let i = 0; i < 100; i += 1) buffer.push(Array.from({ length: 1000 }, (_, k) => `\rstep ${i * 1000 + k}`).join(""));
    expect(buffer.length).toBe(1);
    expect(buffer.text(0)).toBe("step 99999");
  });
});

describe("styles", () => {
  it("are runs of a line, and go on over lines", () => {
    const buffer = new LogBuffer();
    buffer.push(`ok ${ESC}[1;31mbad\nstill${ESC}[0m plain\n`);
    expect(buffer.text(0)).toBe("ok bad");
    const [first, second] = buffer.runs(0)!;
    expect(first).toEqual({ end: 3, style: 0 });
    expect(second!.end).toBe(6);
    expect(lookOf(second!.style)).toMatchObject({ color: "bad", bold: true });
    expect(buffer.runs(1)!.map((run) => run.end)).toEqual([5, 11]);
    expect(buffer.runs(1)![1]!.style).toBe(0);
  });

  it("are written over with their text", () => {
    const buffer = new LogBuffer();
    buffer.push(`${ESC}[32mgreen${ESC}[0m\r${ESC}[31mre${ESC}[m\n`);
    expect(buffer.text(0)).toBe("reeen");
    expect(buffer.runs(0)!.map((run) => [run.end, lookOf(run.style).color])).toEqual([
      [2, "bad"],
      [5, "good"],
    ]);
  });

  it("of 256 and of 24 bits become hues that both themes have", () => {
    expect(lookOf(restyled(0, "38;5;196")).color).toBe("bad");
    expect(lookOf(restyled(0, "38;2;0;200;0")).color).toBe("good");
    expect(lookOf(restyled(0, "38:2::0:0:255")).color).toBe("busy");
    expect(lookOf(restyled(0, "38:2:0:0:255")).color).toBe("busy");
    expect(lookOf(restyled(0, "48;5;226;1"))).toMatchObject({ background: "warn", bold: true, color: "default" });
    expect(lookOf(restyled(0, "38;5;244")).color).toBe("soft");
    expect(hueOf256(15)).toBe("default");
    expect(hueOf256(999)).toBe("default");
    expect(hueOf(255, 255, 255)).toBe("default");
    expect(hueOf(10, 10, 10)).toBe("default");
  });

  it("end where they are said to end", () => {
    const all = restyled(0, "1;2;3;4;7;9;35;43");
    expect(lookOf(all)).toEqual({
      color: "violet", background: "warn", bold: true, dim: true, italic: true, underline: true, inverse: true, strike: true,
    });
    expect(restyled(all, "22;23;24;27;29;39;49")).toBe(0);
    expect(restyled(all, "")).toBe(0);
    expect(restyled(5, "999;1000")).toBe(5);
  });
});

describe("garbage", () => {
  it("is not waited for without end", () => {
    expect(linesOf(`${ESC}]never ends\nnext\n`)).toEqual(["never ends", "next"]);
    expect(linesOf(`${ESC}]${"x".repeat(5000)}`)[0]!.length).toBe(5000);
    expect(linesOf(`${ESC}[12\u0001x\n`)).toEqual(["x"]);
    expect(linesOf(`${ESC}é\n`)).toEqual(["é"]);
    expect(linesOf(`a${ESC}${ESC}[31mb\n`)).toEqual(["ab"]);
  });

  it("that is cut short waits for its end", () => {
    for (const text of [ESC, `${ESC}[`, `${ESC}[38;5`, `${ESC}]0;ti`, `${ESC}(`]) expect(escapeAt(text, 0), text).toBeNull();
  });

  it("of far jumps is bounded", () => {
    expect(linesOf(`a${ESC}[999999999Cb\n`)[0]!.length).toBeLessThan(1000);
    expect(linesOf(`a${ESC}[999999999Bb\n`).length).toBeLessThan(200);
    expect(linesOf(`a\nb${ESC}[999999999Ac\n`)).toEqual(["ac", "b"]);
  });
});

describe("size", () => {
  it("of one line may be megabytes", () => {
    const buffer = new LogBuffer();
    for (let i = 0; i < 512; i += 1) buffer.push("x".repeat(4096));
    buffer.push("\n");
    expect(buffer.length).toBe(1);
    expect(buffer.text(0).length).toBe(2 ** 21);
  });

  it("of a hundred thousand lines takes well under two seconds", () => {
    const line = `${ESC}[32m2026-01-01 00:00:00${ESC}[0m step 123 loss 0.123 accuracy 0.9\n`;
    const buffer = new LogBuffer();
    const start = performance.now();
    for (let i = 0; i < 100; i += 1) buffer.push(line.repeat(1000));
    expect(buffer.length).toBe(100_000);
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it("is bounded: the oldest lines go, and the numbers of the others stay true", () => {
    const buffer = new LogBuffer(1000);
    for (let i = 0; i < 2500; i += 1) buffer.push(`line ${i}\n`);
    expect(buffer.length).toBeLessThanOrEqual(1000);
    expect(buffer.text(0)).toBe(`line ${buffer.dropped}`);
    expect(buffer.text(buffer.length - 1)).toBe("line 2499");
    const small = new LogBuffer(1000, 10_000);
    for (let i = 0; i < 500; i += 1) small.push(`${"x".repeat(99)}\n`);
    expect(small.plain().length).toBeLessThanOrEqual(10_000);
  });

  it("cleared is none, and lines touched are known", () => {
    const buffer = new LogBuffer();
    buffer.push("a\nb\nc");
    buffer.touched = Number.POSITIVE_INFINITY;
    buffer.push("d\n");
    expect(buffer.touched).toBe(2);
    buffer.clear();
    expect([buffer.length, buffer.plain(), buffer.touched]).toEqual([0, "", 0]);
  });
});

describe("UTF-8 at the edge of a piece", () => {
  it("is left for the next piece, unless it is none", () => {
    const text = "aé中😀";
    const bytes = new TextEncoder().encode(text);
    for (let i = 0; i <= bytes.length; i += 1) {
      const piece = bytes.subarray(0, i);
      const whole = wholeText(piece);
      expect(text.startsWith(new TextDecoder("utf-8", { fatal: true }).decode(piece.subarray(0, whole)))).toBe(true);
      expect(i - whole).toBeLessThan(4);
    }
    expect(wholeText(new Uint8Array([0x80, 0x80, 0x80, 0x80, 0x80]))).toBe(5);
    expect(wholeText(new Uint8Array([]))).toBe(0);
  });
});
