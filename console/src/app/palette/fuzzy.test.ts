import { describe, expect, it } from "vitest";
import { fit, ranked } from "./fuzzy";

const labels = (search: string, ...texts: string[]) => ranked(search, texts.map((label) => ({ label }))).map(({ item }) => item.label);

describe("fit", () => {
  it("marks what fits", () => {
    expect(fit("cnn", "digits-cnn")!.marks).toEqual([7, 8, 9]);
    expect(fit("nj", "New job")!.marks).toEqual([0, 4]);
    expect(fit("dc", "digits-cnn")!.marks).toEqual([0, 7]);
  });

  it("is null where letters are missing or only strewn about", () => {
    expect(fit("digitz", "digits-cnn")).toBeNull();
    expect(fit("ist", "digits cnn test")).toBeNull();
    expect(fit("gct", "digits-cnn-tuned")).not.toBeNull();
  });

  it("takes every word, wherever it is", () => {
    expect(fit("cnn dig", "digits-cnn")).not.toBeNull();
    expect(fit("cnn cat", "digits-cnn")).toBeNull();
  });

  it("takes words beside the text, unmarked", () => {
    expect(fit("job", "新建作业", "new job")).toEqual({ score: expect.any(Number) as number, marks: [] });
    expect(fit("作业", "新建作业", "new job")!.marks).toEqual([2, 3]);
  });
});

describe("ranked", () => {
  it("puts what begins so first, then words that begin so, then what has it inside", () => {
    expect(labels("run", "prune", "train run", "runs")).toEqual(["runs", "train run", "prune"]);
    expect(labels("data", "Upload data", "metadata", "data")).toEqual(["data", "Upload data", "metadata"]);
  });

  it("leaves the order without a search", () => {
    expect(labels("  ", "b", "a")).toEqual(["b", "a"]);
  });
});
