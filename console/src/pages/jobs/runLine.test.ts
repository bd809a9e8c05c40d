import { describe, expect, it } from "vitest";
import * as yaml from "yaml";
import { Draft, fieldOf } from "./draft";
import { FROM_FILE, plainWords, runLine } from "./runLine";

const line = (text: string) => runLine(new Draft(yaml, text, "not a mapping"), fieldOf).slice(2).join(" ");
const FILE = FROM_FILE.slice(2).join(" ");

describe("the command line of a form", () => {
  it("is that of a script, with options", () => {
    expect(line("commands: [python train.py --epochs 5]\n")).toBe("train.py -- --epochs 5");
    expect(line("commands: [python train.py]\nenvironment: pytorch\nresources: {cpu: 2, memory: 4GB, gpu: 0.5}\nreplicas: 1..4\nprocesses_per_replica: 2\ndistribution: PyTorch\nresume_from: train-1\n")).toBe(
      "--environment pytorch --cpu 2 --memory 4GB --gpu 0.5 --replicas 1..4 --processes 2 --resume train-1 --distribution pytorch train.py",
    );
    expect(line("run: sh go.sh\nnodes: 2\nspot: true\ncapture: off\n")).toBe("--replicas 2 --spot --no-capture go.sh");
    expect(line("commands: [python -m train]\n")).toBe("python -- -m train");
  });

  it("has data, variables and secrets", () => {
    expect(line("commands: [python a.py]\ninputs: {train: digits@1, x: {path: y, as: 'keras:mnist'}}\nenv: {A: b c, N: 1}\nsecrets: [HF]\n")).toBe(
      "--data train=digits@1 --data x=y,as=keras:mnist --env A=b c --env N=1 --secret HF a.py",
    );
  });

  it("is a file where options do not say it all", () => {
    for (const text of [
      "commands: [a, b]\n",
      "commands: []\n",
      "environment: base\n",
      "commands: [python a.py]\nstop_duration: 60\n",
      "commands: [python a.py]\nresources: {disk: 5GB}\n",
      "commands: [python a.py]\ndistribution: {type: mxnet, parameter_server_count: 2}\n",
      "commands: [python a.py]\ninputs: {x: {path: y, type: uri_file}}\n",
      "commands: [python a.py]\ncode: abc\n",
      "commands: [python a.py]\nenv: [A]\n",
      "commands: [./train.py]\n",
      "commands: [\n",
    ]) expect(line(text), text).toBe(FILE);
  });

  it("leaves to a file what a shell has to read", () => {
    for (const command of ["a && b", "a | b", "a > b", "a $HOME", "a 'b c'", "a *.txt", "A=1 python a.py", "a ~/b", "a\nb", "a; b", "a # b"]) expect(plainWords(command), command).toBeNull();
    expect(plainWords(" python  a.py --x=1,2 ")).toEqual(["python", "a.py", "--x=1,2"]);
  });
});
