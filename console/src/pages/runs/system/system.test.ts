import { describe, expect, it } from "vitest";
import type { Schemas } from "@/api/client";
import { charts, isSystem, limitOf, parse, ranksOf, scaleOf } from "./system";

describe("keys", () => {
  it("are of one replica, or of a rank", () => {
    expect(parse("system/cpu_utilization_percentage")).toEqual({ rank: null, name: "cpu_utilization_percentage" });
    expect(parse("system/12/disk_usage_megabytes")).toEqual({ rank: 12, name: "disk_usage_megabytes" });
    expect(["loss", "system", "system/", "system/a/b", "my/system/cpu"].filter(isSystem)).toEqual([]);
    expect(ranksOf(["system/10/a", "system/2/a", "system/2/b", "system/c", "loss"])).toEqual([2, 10]);
  });
});

describe("charts", () => {
  it("of a gang have a line for each replica and device", () => {
    const found = charts([
      "loss",
      "system/1/cpu_utilization_percentage",
      "system/0/cpu_utilization_percentage",
      "system/0/gpu_1_utilization_percentage",
      "system/0/gpu_0_utilization_percentage",
      "system/1/gpu_0_memory_usage_megabytes",
      "system/0/network_transmit_megabytes",
      "system/0/network_receive_megabytes",
      "system/0/system_memory_usage_percentage",
      "system/0/system_memory_usage_megabytes",
    ]);
    expect(found.map((one) => one.family)).toEqual(["cpu", "memory", "gpu", "gpuMemory", "network"]);
    expect(found[0]!.lines.map((one) => one.rank)).toEqual([0, 1]);
    expect(found[2]!.lines.map((one) => [one.rank, one.device])).toEqual([[0, 0], [0, 1]]);
    expect(found[4]!.lines.map((one) => one.way)).toEqual(["receive", "transmit"]);
    expect(found[4]!.unit).toBe("bytes");
    expect(charts(["system/disk_read_megabytes_per_second"])[0]).toMatchObject({ family: "diskRate", unit: "rate" });
    expect(found[1]!.lines).toHaveLength(1); // the share of it is the same curve again
  });

  it("are of some replicas where those are chosen", () => {
    const keys = ["system/0/cpu_utilization_percentage", "system/1/cpu_utilization_percentage", "system/7/processes"];
    expect(charts(keys, new Set([1])).map((one) => one.lines.map((line) => line.rank))).toEqual([[1]]);
    expect(charts(["system/cpu_utilization_percentage"], new Set([1]))).toHaveLength(1);
  });

  it("are one for each name that is not known, last", () => {
    const found = charts(["system/tpu_heat", "system/1/odd", "system/0/odd", "system/cpu_utilization_percentage"]);
    expect(found.map((one) => [one.family, one.name, one.lines.length])).toEqual([
      ["cpu", "cpu_utilization_percentage", 1],
      ["other", "odd", 2],
      ["other", "tpu_heat", 1],
    ]);
  });
});

describe("scales", () => {
  it("follow the greatest value", () => {
    const gib = scaleOf("bytes", 4 * 1073.741824);
    expect(gib.name).toBe("GiB");
    expect(4 * 1073.741824 * gib.factor).toBeCloseTo(4);
    expect(scaleOf("bytes", 300).name).toBe("MiB");
    expect(scaleOf("rate", 0.01).name).toBe("KiB/s");
    expect(scaleOf("rate", 0).name).toBe("B/s");
    expect(scaleOf("percent", 80)).toEqual({ name: "%", factor: 1 });
  });
});

describe("limits", () => {
  it("are those of the job's record, in the keys' unit", () => {
    const job = { record: { hardware: { memory: 2 ** 30 } } } as unknown as Schemas["Job"];
    expect(limitOf("cpu", job)).toBe(100); // of what it asked for
    expect(limitOf("memory", job)).toBeCloseTo(1073.741824);
    expect(limitOf("disk", job)).toBeNull();
    expect(limitOf("gpu", job)).toBeNull();
    expect(limitOf("memory", null)).toBeNull();
  });
});
