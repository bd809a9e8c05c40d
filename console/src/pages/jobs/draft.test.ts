import { describe, expect, it } from "vitest";
import * as yaml from "yaml";
import { Problem, type Schemas } from "@/api/client";
import { again, distributionOf, Draft, fieldErrors, fieldOf, sizeText } from "./draft";

const draft = (text: string) => new Draft(yaml, text, "not a mapping");

const TEXT = `# what this is for
commands:
  - python train.py --epochs 5 # five are enough
environment: pytorch # built on Monday
resources:
  cpu: 2
  # more than it needs
  memory: 4GB
`;

describe("a change in the form", () => {
  it("keeps comments, order and everything else", () => {
    const text = draft(TEXT).with(["environment"], "keras");
    expect(text).toBe(TEXT.replace("environment: pytorch #", "environment: keras #"));
    const more = draft(text).with(["resources", "memory"], "8GB");
    expect(more).toContain("  # more than it needs\n  memory: 8GB\n");
    expect(draft(more).with(["tags", "team"], "vision")).toBe(`${more}tags:\n  team: vision\n`);
  });

  it("begins an empty job, and ends one", () => {
    const text = draft("").with(["commands"], ["python train.py"]);
    expect(text).toBe("commands:\n  - python train.py\n");
    expect(draft(text).with(["commands"], [])).toBe("");
    expect(draft("# only a note\n").with(["environment"], "base")).toContain("# only a note");
  });

  it("takes away what is empty, and the mapping that is left empty", () => {
    const text = draft("commands: [a]\nenv:\n  A: b\n").with(["env", "A"], "");
    expect(text).toBe("commands: [a]\n");
    expect(draft("environment: base\n").with(["resources", "cpu"], undefined)).toBe("environment: base\n");
  });

  it("goes where the YAML has the field, also under another name", () => {
    expect(draft("run: python a.py\n").get("commands")).toBe("python a.py");
    expect(draft("run: python a.py\n").with(["commands"], ["python b.py"])).toBe("run:\n  - python b.py\n");
    expect(draft("resources: {cpus: 2}\n").string("resources", "cpu")).toBe("2");
    expect(draft("resources: {cpus: 2}\n").with(["resources", "cpu"], 4)).toBe("resources: {cpus: 4}\n");
    expect(draft("envs: {A: b}\n").with(["env", "C"], "d")).toBe("envs: {A: b, C: d}\n");
  });

  it("makes room where something else stands", () => {
    expect(draft("resources: 5\n").with(["resources", "cpu"], 2)).toBe("resources:\n  cpu: 2\n");
    expect(draft("inputs:\n").with(["inputs", "train"], "digits@1")).toBe("inputs:\n  train: digits@1\n");
  });

  it("writes texts that YAML would take for something else with quotes", () => {
    const text = draft("").with(["env", "FLAG"], "yes");
    expect(draft(text).get("env", "FLAG")).toBe("yes");
    expect(draft(draft("").with(["env", "N"], "1")).get("env", "N")).toBe("1");
    const long = `python train.py ${"--flag value ".repeat(30)}`.trim();
    expect(draft(draft("").with(["commands"], [long])).get("commands")).toEqual([long]);
    const lines = "set -e\npython a.py\n";
    expect(draft(draft("").with(["commands"], [lines])).get("commands", 0)).toBe(lines);
  });

  it("changes nothing while the YAML cannot be read", () => {
    expect(draft("a: [\n").with(["environment"], "base")).toBe("a: [\n");
  });
});

describe("replicas", () => {
  it("are under the names of other platforms, too", () => {
    expect(draft("num_nodes: 2\nnproc_per_node: 4\n").string("replicas")).toBe("2");
    expect(draft("nodes: 2\n").with(["replicas"], "1..4")).toBe("nodes: 1..4\n");
    expect(fieldOf("nproc_per_node")).toBe("processes_per_replica");
  });

  it("find each other by a word or a mapping", () => {
    expect(distributionOf(draft("distribution: PyTorch\n"))).toEqual({ type: "pytorch", launch: null, servers: null, word: true });
    expect(distributionOf(draft("distribution:\n  type: mxnet\n  launch: per-node\n  parameter_server_count: 2\n"))).toEqual({ type: "mxnet", launch: "per-node", servers: 2, word: false });
    expect(distributionOf(draft("a: 1\n"))).toEqual({ type: "none", launch: null, servers: null, word: true });
    expect(distributionOf(draft("distribution: {launch: 3}\n"))).toEqual({ type: "none", launch: null, servers: null, word: false });
  });
});

describe("errors", () => {
  it("of YAML have their lines", () => {
    const found = draft("commands: [a]\nenv:\n  A: b: c\n");
    expect(found.value).toBeNull();
    expect(found.errors[0]!.line).toBe(3);
    expect(draft("- a\n- b\n").errors).toEqual([{ line: 1, message: "not a mapping" }]);
    expect(draft("").errors).toEqual([]);
    expect(draft(`a: &a [x, x]\n${Array.from({ length: 12 }, (_, i) => `b${i}: &b${i} [${`*${i ? `b${i - 1}` : "a"}, `.repeat(9)}]`).join("\n")}`).value).toBeNull();
  });

  it("of the server are at the line of their field, or of what it should be in", () => {
    const found = draft(TEXT);
    expect(found.lineOf("commands")).toBe(2);
    expect(found.lineOf("commands.0")).toBe(3);
    expect(found.lineOf("resources.memory")).toBe(8);
    expect(found.lineOf("resources.nothing")).toBe(5);
    expect(found.lineOf("max_duration")).toBe(1);
    expect(draft("a: 1\nrun: x\n").lineOf("commands")).toBe(2);
  });

  it("are read from the problem", () => {
    const said = { detail: "x", extra: { fields: [{ field: "env.A", message: "no" }, { field: 3 }] } };
    expect(fieldErrors(new Problem(422, "invalid_spec", "x", said))).toEqual([{ field: "env.A", message: "no" }]);
    expect(fieldErrors(new Problem(0, "unreachable", "x"))).toEqual([]);
    expect(fieldOf("run.0")).toBe("commands.0");
    expect(fieldOf("resources.memory")).toBe("resources.memory");
  });
});

describe("doing a job again", () => {
  const job = {
    spec: {
      type: "task", name: "train-1", description: "", experiment_name: null, commands: ["python train.py"], code: "c".repeat(64), workdir: ".",
      environment: "pytorch", environment_lock: null, env: { A: "b" }, secrets: [], capture: "on", stop_duration: 10, max_restarts: 0, priority: "normal", spot: false, max_duration: 3600, instance_type: null, tags: {},
      inputs: { train: { path: "digits", as: "keras:mnist", type: "uri_folder", mode: "ro_mount" }, plain: { path: "x", as: null, type: "uri_folder", mode: "ro_mount" } },
      resources: { cpu: 2, memory: 2 * 2 ** 30, gpu: 1, gpu_name: "H100", disk: 20 * 2 ** 30, shm_size: 2 ** 30 },
    },
    record: { code: "c".repeat(64), lock_digest: "d".repeat(64), inputs: { train: "digits@3" } },
  } as unknown as Schemas["Job"];

  it("takes its code, packages and versions of data, and no name", () => {
    expect(again(job, false)).toEqual({
      commands: ["python train.py"], code: "c".repeat(64), environment: "pytorch", environment_lock: "d".repeat(64), env: { A: "b" }, max_duration: 3600,
      inputs: { train: { path: "digits@3", as: "keras:mnist" }, plain: "x" }, resources: { cpu: 2, gpu: 1, gpu_name: "H100" },
    });
    expect(again(job, true)).not.toHaveProperty("environment_lock");
  });

  it("keeps its replicas and what they resumed from, where they are not the usual", () => {
    const gang = { ...job, spec: { ...job.spec, replicas: "1..4", processes_per_replica: 2, distribution: { type: "pytorch", launch: null, parameter_server_count: 0 }, resume_from: "train-0" } } as Schemas["Job"];
    expect(again(gang, false)).toMatchObject({ replicas: "1..4", processes_per_replica: 2, distribution: "pytorch", resume_from: "train-0" });
    const servers = { ...gang, spec: { ...gang.spec, distribution: { type: "mxnet", launch: null, parameter_server_count: 2 } } } as Schemas["Job"];
    expect(again(servers, false).distribution).toEqual({ type: "mxnet", parameter_server_count: 2 });
    const plain = { ...job, spec: { ...job.spec, replicas: 1, processes_per_replica: 1, distribution: { type: "none" }, resume_from: null } } as unknown as Schemas["Job"];
    expect(again(plain, false)).toEqual(again(job, false));
  });

  it("writes sizes as people do", () => {
    expect([sizeText(4 * 2 ** 30), sizeText(512 * 2 ** 20), sizeText(1000)]).toEqual(["4GB", "512MB", "1000"]);
  });
});
