import { describe, expect, it } from "vitest";
import { answerRows, argmax, ranked, shown } from "./answers";
import { guessRange, inputOf } from "./pixels";
import { columnsOf, exampleOf, imageOf, parsePasted, questionOf, type Signature, type Tensor, valueOf, waysOf } from "./signature";

const tensor = (shape: number[], datatype = "FP32", name = "x") => ({ name, datatype, shape }) as Tensor;
const takes = (...inputs: Tensor[]): Signature => ({ inputs, outputs: [] });

describe("images", () => {
  it.each([
    [[-1, 64], { width: 8, height: 8, channels: 1, layout: "flat" }],
    [[-1, 784], { width: 28, height: 28, channels: 1, layout: "flat" }],
    [[784], { width: 28, height: 28, channels: 1, layout: "flat" }],
    [[-1, 28, 28], { width: 28, height: 28, channels: 1, layout: "hw" }],
    [[-1, 1, 28, 28], { width: 28, height: 28, channels: 1, layout: "chw" }],
    [[-1, 28, 20, 1], { width: 20, height: 28, channels: 1, layout: "hwc" }],
    [[1, 3, 224, 224], { width: 224, height: 224, channels: 3, layout: "chw" }],
    [[-1, 3, -1, -1], { width: 224, height: 224, channels: 3, layout: "chw", open: true }],
  ])("%j", (shape, found) => {
    expect(imageOf(takes(tensor(shape)))).toMatchObject(found);
  });
  it.each([[[-1, 10]], [[-1, -1, -1]], [[-1, 2, 3]], [[-1, 5, 28, 28]], [[-1]], [[]]])("not %j", (shape) => {
    expect(imageOf(takes(tensor(shape)))).toBeNull();
  });
  it("are not text, and not one of several inputs", () => {
    expect(imageOf(takes(tensor([-1, 784], "BYTES")))).toBeNull();
    expect(imageOf(takes(tensor([-1, 784]), tensor([-1, 1])))).toBeNull();
  });
});

describe("ways", () => {
  it("begin with the most natural", () => {
    expect(waysOf(takes(tensor([-1, 64])))).toEqual(["draw", "image", "features", "raw"]);
    expect(waysOf(takes(tensor([-1, 3, 32, 32])))).toEqual(["image", "raw"]);
    expect(waysOf(takes(tensor([-1, 13])))).toEqual(["features", "raw"]);
    expect(waysOf(takes(tensor([-1, 1], "BYTES")))).toEqual(["text", "raw"]);
    expect(waysOf(takes(tensor([-1, -1], "INT64")))).toEqual(["raw"]);
    expect(waysOf(takes(tensor([-1, 1], "FP32", "a"), tensor([-1], "BYTES", "b")))).toEqual(["features", "raw"]);
  });
});

describe("pixels", () => {
  const two = { width: 2, height: 1, planes: [Float32Array.from([0, 1]), Float32Array.from([0.5, 0.25]), Float32Array.from([1, 1])] };
  const image = (channels: 1 | 3, layout: "chw" | "hwc" | "flat") => ({ width: 2, height: 1, channels, layout, open: false });
  it("lie as the model wants them", () => {
    expect(inputOf(tensor([-1, 3, 1, 2]), image(3, "chw"), two, "1", false)).toEqual({ name: "x", datatype: "FP32", shape: [1, 3, 1, 2], data: [0, 1, 0.5, 0.25, 1, 1] });
    expect(inputOf(tensor([-1, 1, 2, 3]), image(3, "hwc"), two, "1", false).data).toEqual([0, 0.5, 1, 1, 0.25, 1]);
  });
  it("are scaled, turned round and whole", () => {
    expect(inputOf(tensor([-1, 2]), image(1, "flat"), two, "16", false).data).toEqual([0, 16]);
    expect(inputOf(tensor([-1, 2]), image(1, "flat"), two, "255", true).data).toEqual([255, 0]);
    expect(inputOf(tensor([-1, 2]), image(1, "flat"), two, "signed", false).data).toEqual([-1, 1]);
    expect(inputOf(tensor([-1, 2], "UINT8"), image(1, "flat"), { ...two, planes: [Float32Array.from([0.1, 0.5])] }, "255", false).data).toEqual([26, 128]);
    expect(inputOf(tensor([-1, 3, 1, 2]), image(3, "chw"), two, "imagenet", false).data[0]).toBeCloseTo(-2.1179, 4);
  });
  it("have a likely range", () => {
    const of = (shape: number[], datatype = "FP32", most: number | null = null) => guessRange(tensor(shape, datatype), imageOf(takes(tensor(shape, datatype)))!, most);
    expect([of([-1, 64]), of([-1, 784]), of([-1, 784], "UINT8"), of([-1, 3, 224, 224]), of([-1, 64], "FP32", 1), of([-1, 784], "FP32", 255)]).toEqual(["16", "1", "255", "imagenet", "1", "255"]);
  });
  it("of an open size have the size that was chosen", () => {
    const open = tensor([-1, 3, -1, -1]);
    expect(exampleOf(takes(open)).inputs[0]!.shape).toEqual([1, 3, 224, 224]);
  });
});

describe("tables", () => {
  it("have a column for each feature, or for each input", () => {
    expect(columnsOf(takes(tensor([-1, 3])))!.map((column) => column.name)).toEqual(["x[0]", "x[1]", "x[2]"]);
    const signature = takes(tensor([-1, 1], "FP32", "area"), tensor([-1], "BYTES", "city"));
    expect(columnsOf(signature)!.map((column) => column.name)).toEqual(["area", "city"]);
    expect(questionOf(signature, [["1.5", "Bern"], ["2", ""]]).question).toEqual({
      inputs: [
        { name: "area", datatype: "FP32", shape: [2, 1], data: [1.5, 2] },
        { name: "city", datatype: "BYTES", shape: [2], data: ["Bern", ""] },
      ],
    });
  });
  it("say which cell is no value", () => {
    expect(questionOf(takes(tensor([-1, 2])), [["1", "2"], ["1", "x"]]).problem).toEqual({ row: 1, column: "x[1]" });
  });
  it("read values by their datatype", () => {
    expect([valueOf("1.5", "FP32"), valueOf("1.5", "INT64"), valueOf("", "FP64"), valueOf("yes", "BOOL"), valueOf("2", "BOOL"), valueOf(" a", "BYTES")]).toEqual([1.5, null, null, true, null, " a"]);
  });
  it("can be pasted", () => {
    expect(parsePasted("a\tb\n1\t2\n3\t4\n")).toEqual([["1", "2"], ["3", "4"]]);
    expect(parsePasted("[1, 2, 3]")).toEqual([["1", "2", "3"]]);
    expect(parsePasted('1,"two words"\n2,x')).toEqual([["1", "two words"], ["2", "x"]]);
    expect(parsePasted("0.5 1.5")).toEqual([["0.5", "1.5"]]);
  });
});

describe("answers", () => {
  const output = (shape: number[], data: unknown[], datatype = "FP32") => ({ name: "y", shape, datatype, data }) as Parameters<typeof shown>[0];
  it("are classes where they are probabilities, or scores", () => {
    const found = shown(output([1, 3], [0.1, 0.7, 0.2]), ["cat", "dog", "owl"]);
    expect(found).toMatchObject({ kind: "classes", softmax: false });
    expect(found.kind === "classes" && found.bars[argmax(found.bars)]).toEqual({ label: "dog", value: 0.7, share: 0.7 });
    expect(shown(output([1, 2], [3, -3]), null)).toMatchObject({ kind: "classes", softmax: true, bars: [{ label: "0", value: 3 }, { label: "1" }] });
  });
  it("are named only where the names are as many", () => {
    expect(shown(output([1, 3], [0.1, 0.7, 0.2]), ["cat"])).toMatchObject({ bars: [{ label: "0" }, { label: "1" }, { label: "2" }] });
  });
  it("are a value, values or a tensor else", () => {
    expect(shown(output([1], [2], "INT64"), ["a", "b", "c"])).toMatchObject({ kind: "value", value: "c" });
    expect(shown(output([1, 1], [0.123456789]), ["a"])).toMatchObject({ kind: "value", value: "0.123457" });
    expect(shown(output([2], ["a", "b"], "BYTES"), null)).toMatchObject({ kind: "values", values: ["a", "b"] });
    expect(shown(output([1, 2, 2], [1, 2, 3, 4]), null)).toMatchObject({ kind: "tensor" });
    expect(shown(output([1, 2], [null, 1]), null)).toMatchObject({ kind: "tensor" });
  });
  it("keep the likely ones where there are many", () => {
    const bars = [0.1, 0.5, 0.4].map((share, at) => ({ label: String(at), value: share, share }));
    expect(ranked(bars, 2).map((bar) => bar.label)).toEqual(["1", "2"]);
    expect(ranked(bars, 3)).toBe(bars);
  });
  it("of several samples are rows", () => {
    const prediction = { outputs: [output([2], [0, 1], "INT64"), output([2, 2], [0.9, 0.1, 0.3, 0.7])] } as Parameters<typeof answerRows>[0];
    expect(answerRows(prediction, ["cat", "dog"]).rows).toEqual([["cat", "cat (90.0 %)"], ["dog", "dog (70.0 %)"]]);
  });
});
