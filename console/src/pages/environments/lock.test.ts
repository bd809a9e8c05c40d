import { describe, expect, it } from "vitest";
import { matching, packagesOf } from "./lock";

const LOCK = `--extra-index-url https://download.pytorch.org/whl/cpu
asttokens==3.0.2 \\
    --hash=sha256:9da1
scikit-learn==1.8.0 ; sys_platform == "linux" \\
    --hash=sha256:aa \\
    --hash=sha256:bb
torch @ https://download.pytorch.org/whl/cpu/torch-2.13.0%2Bcpu-cp311-cp311-linux_x86_64.whl \\
    --hash=sha256:cc
uvicorn[standard]==0.54.0 \\
    --hash=sha256:dd
`;

describe("a lock", () => {
  const packages = packagesOf(LOCK, ["Scikit_Learn>=1.5,<2", "torch", "  "]);

  it("names its packages, their versions and conditions", () => {
    expect(packages.map((one) => [one.name, one.version, one.marker, one.hashes])).toEqual([
      ["asttokens", "3.0.2", "", 1],
      ["scikit-learn", "1.8.0", 'sys_platform == "linux"', 2],
      ["torch", "2.13.0+cpu", "", 1],
      ["uvicorn", "0.54.0", "", 1],
    ]);
  });

  it("tells what was asked for from what came along", () => {
    expect(packages.filter((one) => one.asked).map((one) => one.name)).toEqual(["scikit-learn", "torch"]);
  });

  it("is searched by name and version", () => {
    expect(matching(packages, "LEARN").map((one) => one.name)).toEqual(["scikit-learn"]);
    expect(matching(packages, "torch==2.13").map((one) => one.name)).toEqual(["torch"]);
    expect(matching(packages, " ")).toBe(packages);
  });

  it("may be empty", () => expect(packagesOf("")).toEqual([]));
});
