/** The packages that a lock pins. Nacre's locks have one form: requirements with hashes. */

export interface Package {
  name: string;
  version: string;
  /** `sys_platform == "linux"`, where it has a condition. */
  marker: string;
  /** Files it may be installed from. */
  hashes: number;
  /** Whether the requirements name it; others came along. */
  asked: boolean;
}

const PIN = /^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?:==\s*([^\s;\\]+)|@\s*([^\s;\\]+))\s*(?:;\s*([^\\]*))?/;

/** As indexes compare names: `Scikit_Learn` is `scikit-learn`. */
const canonical = (name: string) => name.toLowerCase().replaceAll(/[-_.]+/g, "-");

export function packagesOf(lock: string, requirements: string[] = []): Package[] {
  const asked = new Set(requirements.map((line) => canonical(/^[A-Za-z0-9._-]+/.exec(line.trim())?.[0] ?? "")));
  const found: Package[] = [];
  for (const line of lock.split("\n")) {
    const pin = PIN.exec(line);
    const last = found.at(-1);
    if (pin) {
      const version = pin[2] ?? versionOf(pin[3]!);
      found.push({ name: pin[1]!, version, marker: (pin[4] ?? "").trim(), hashes: 0, asked: asked.has(canonical(pin[1]!)) });
    } else if (last && line.includes("--hash=")) last.hashes += 1;
  }
  return found;
}

/** `1.2.3` of `https://…/torch-1.2.3-cp311-cp311-linux_x86_64.whl`. */
function versionOf(url: string): string {
  const file = decodeURIComponent(url.split(/[#?]/)[0]!.split("/").at(-1) ?? "");
  return /^[^-]+-([^-]+)-/.exec(file)?.[1] ?? file;
}

/** Those whose name or `name==version` has the text. */
export function matching(packages: Package[], text: string): Package[] {
  const wanted = text.trim().toLowerCase();
  return wanted ? packages.filter((one) => `${one.name}==${one.version}`.toLowerCase().includes(wanted)) : packages;
}
