// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Problem } from "@/api/client";
import { passes } from "./Effort";
import type { Hashers } from "./hashing";
import { isJunk, isName, nameFrom, ofInput, rooted } from "./gather";
import { backOff, plan, Rate } from "./plan";
import { isSettled, keyOf } from "./remembered";
import type { FileState, UploadFile } from "./hashWork";
import { PathFault, Upload } from "./Upload";
import { shownFiles } from "./UploadFiles";

const file = (path: string) => ({ path, file: new File(["x"], path.split("/").at(-1)!) });

describe("what was dropped", () => {
  it("is one folder's content, or several things under their names", () => {
    expect(rooted([file("digits/a.png"), file("digits/b/c.png")]).entries.map((one) => one.path)).toEqual(["a.png", "b/c.png"]);
    expect(rooted([file("digits/a.png"), file("more/a.png")]).entries.map((one) => one.path)).toEqual(["digits/a.png", "more/a.png"]);
    expect(rooted([file("a.csv"), file("d/b.csv")]).entries.map((one) => one.path)).toEqual(["a.csv", "d/b.csv"]);
    expect(rooted([file("a.csv")])).toMatchObject({ label: "a.csv", entries: [{ path: "a.csv" }] });
  });

  it("is without what operating systems leave", () => {
    expect(rooted([file("d/.DS_Store"), file("d/a"), file("d/x/Thumbs.db")])).toMatchObject({ skipped: 2, label: "d" });
    expect(isJunk("a/__MACOSX/b")).toBe(true);
    expect(isJunk("a/ds_store")).toBe(false);
  });

  it("comes from an input of folders or files", () => {
    const one = new File(["x"], "a.txt");
    Object.defineProperty(one, "webkitRelativePath", { value: "folder/a.txt" });
    expect(ofInput([one])).toMatchObject({ label: "folder", entries: [{ path: "a.txt" }] });
    expect(ofInput([new File(["x"], "b.txt")]).entries[0]!.path).toBe("b.txt");
  });

  it("gives a name that the server takes", () => {
    for (const [label, name] of [["My Digits (v2)", "my-digits-v2"], ["iris.csv", "iris"], ["数据", ""], ["__x__", "x"]] as const) {
      expect(nameFrom(label)).toBe(name);
    }
    expect(isName(nameFrom("a".repeat(80)))).toBe(true);
    expect(["", "-a", "a-", "A", "a b"].some(isName)).toBe(false);
  });
});

describe("the plan", () => {
  const piece = (digest: string, size: number) => ({ digest, blob: { size } as Blob });

  it("sends each blob once: many small ones at once, large ones in parts", () => {
    const found = plan([piece("a", 10), piece("b", 2 ** 21), piece("c", 2 ** 25), piece("a", 10), piece("d", 0)]);
    expect(found.batches.map((batch) => batch.map((one) => one.digest))).toEqual([["a", "d"]]);
    expect(found.whole.map((one) => one.digest)).toEqual(["b"]);
    expect(found.large.map((one) => one.digest)).toEqual(["c"]);
  });

  it("keeps batches under what a request takes", () => {
    const { batches } = plan(Array.from({ length: 2000 }, (_, at) => piece(String(at), 2 ** 20)));
    for (const batch of batches) expect(batch.reduce((sum, one) => sum + one.blob.size, 0)).toBeLessThan(8 * 2 ** 20);
    expect(plan(Array.from({ length: 2000 }, (_, at) => piece(String(at), 1))).batches.map((batch) => batch.length)).toEqual([512, 512, 512, 464]);
  });

  it("waits longer each time, within bounds", () => {
    expect(backOff(0, 1)).toBe(500);
    expect(backOff(3, 1)).toBe(4000);
    expect(backOff(60, 1)).toBe(15_000);
    expect(backOff(60, 0)).toBe(7500);
  });
});

it("the rate is that of the last seconds", () => {
  const rate = new Rate();
  expect(rate.perSecond(0)).toBeNull();
  rate.add(0, 0);
  expect(rate.perSecond(100)).toBeNull();
  for (let at = 1; at <= 100; at += 1) rate.add(at < 50 ? 0 : (at - 50) * 10, at * 1000);
  expect(rate.perSecond(100_000)).toBe(10);
});

it("what may pass is tried again", () => {
  for (const status of [0, 408, 429, 500, 503]) expect(passes(new Problem(status, "", ""))).toBe(true);
  for (const status of [400, 401, 403, 404, 409, 413, 422]) expect(passes(new Problem(status, "", ""))).toBe(false);
  expect(passes(new Error("bug"))).toBe(false);
});

it("digests are remembered of files that are as they were", () => {
  const one = { size: 3, lastModified: 5 };
  expect(keyOf("r", "a", one)).not.toBe(keyOf("r", "a", { ...one, lastModified: 6 }));
  expect(keyOf("r", "a/b", one)).not.toBe(keyOf("r/a", "b", one));
  expect(isSettled({ lastModified: 1000 }, 2000)).toBe(false);
  expect(isSettled({ lastModified: 1000 }, 4000)).toBe(true);
});

it("of very many files, those that are worked at are shown", () => {
  const one = (path: string, state: FileState): UploadFile => ({ path, state, blob: new Blob([]), digest: null, done: 0 });
  const files = [...Array.from({ length: 9 }, (_, at) => one(`done${at}`, "there")), one("next", "waiting"), one("now", "sending")];
  expect(shownFiles(files, 2).map((file) => file.path)).toEqual(["now", "next", "done0", "done1"]);
});

/** A server in memory that has blobs by digest. The digest of these tests is the content itself, padded. */
class Server {
  blobs = new Map<string, Blob>();
  parts = new Map<string, Map<number, Blob>>();
  versions: string[] = [];
  asked: string[] = [];
  failing = 0;

  fetch = async (input: string, init?: RequestInit): Promise<Response> => {
    const url = new URL(input, "http://x");
    const method = init?.method ?? "GET";
    this.asked.push(`${method} ${url.pathname.replace(/.*default/, "").replaceAll(/[0-9a-f]{64}/g, "D")}`);
    if (this.failing > 0) {
      this.failing -= 1;
      throw new TypeError("Failed to fetch");
    }
    const body = (init?.body ?? null) as Blob | string | null;
    const digest = /[0-9a-f]{64}/.exec(url.pathname)?.[0] ?? "";
    if (url.pathname.endsWith("/missing")) {
      const { digests } = JSON.parse(body as string) as { digests: string[] };
      return Response.json({ missing: digests.filter((one) => !this.blobs.has(one)) });
    }
    if (url.pathname.endsWith("/versions")) {
      this.versions.push(body as string);
      return Response.json({ number: this.versions.length }, { status: 201 });
    }
    if (url.pathname.endsWith("/parts")) {
      const size = Number(url.searchParams.get("size"));
      const have = this.parts.get(digest) ?? new Map<number, Blob>();
      const all = Array.from({ length: Math.ceil(size / 2 ** 23) }, (_, at) => at * 2 ** 23);
      const missing = all.filter((start) => !have.has(start)).map((start) => [start, Math.min(2 ** 23, size - start)]);
      return Response.json({ missing });
    }
    const part = /parts\/(\d+)$/.exec(url.pathname);
    if (part) {
      const have = this.parts.get(digest) ?? new Map<number, Blob>();
      this.parts.set(digest, have.set(Number(part[1]), body as Blob));
      const sum = [...have.values()].reduce((total, one) => total + one.size, 0);
      const complete = sum === Number(url.searchParams.get("size"));
      if (complete) this.blobs.set(digest, new Blob([]));
      return Response.json({ complete });
    }
    if (method === "PUT") this.blobs.set(digest, body as Blob);
    else this.blobs.set(await fakeDigest((body as Blob).slice(40)), body as Blob); // one frame
    return Response.json({ stored: 1 }, { status: 201 });
  };
}

const text = (blob: Blob) => new Promise<string>((done) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result as string);
  reader.readAsText(blob);
});

/** 64 hex digits that stand for the content; of large blobs, for the length. */
async function fakeDigest(blob: Blob): Promise<string> {
  const content = blob.size > 10_000 ? String(blob.size) : await text(blob);
  let sum = 7;
  for (const letter of content) sum = (sum * 31 + letter.charCodeAt(0)) % 2 ** 40;
  return sum.toString(16).padStart(64, "0");
}

const hashers = (): Hashers => ({
  width: 2,
  hash: (blobs, onBytes) =>
    Promise.all(
      blobs.map((blob) => {
        onBytes?.(blob.size);
        return fakeDigest(blob);
      }),
    ),
  glance: fakeDigest,
  hold: () => undefined,
  end: () => undefined,
});

describe("an upload", () => {
  let server: Server;
  beforeEach(() => {
    server = new Server();
    vi.stubGlobal("fetch", server.fetch);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
  const upload = (...entries: [string, Blob][]) =>
    new Upload({ project: "default", name: "d", note: "n", entries: entries.map(([path, blob]) => ({ path, blob })) }, hashers);

  it("sends what is missing, then names the version", async () => {
    const one = upload(["a", new Blob(["hello"])], ["large", new Blob([new Uint8Array(20 * 2 ** 20)])]);
    const version = await one.run();
    expect(version).toMatchObject({ number: 1 });
    expect(JSON.parse(server.versions[0]!)).toMatchObject({ note: "n" });
    expect(server.asked).toEqual([
      "POST /blobs/missing", "GET /blobs/D/parts", "POST /blobs",
      "PUT /blobs/D/parts/0", "PUT /blobs/D/parts/8388608", "PUT /blobs/D/parts/16777216", "PUT /blobs/D", "POST /data/d/versions",
    ]);
    expect(one.progress()).toMatchObject({ stage: "done", sent: 5 + 20 * 2 ** 20, lacking: 5 + 20 * 2 ** 20, spared: 0 });
    expect(one.files.every((each) => each.state === "there")).toBe(true);
  });

  it("does not send again what arrived, nor equal files twice", async () => {
    await upload(["a", new Blob(["hello"])]).run();
    server.asked = [];
    const again = upload(["b", new Blob(["hello"])], ["c", new Blob(["new"])], ["d", new Blob(["new"])]);
    await again.run();
    expect(server.asked.filter((line) => line === "POST /blobs")).toHaveLength(1);
    expect(again.progress()).toMatchObject({ sent: 3, spared: 8 });
  });

  it("goes on with the parts that are missing", async () => {
    const blob = new Blob([new Uint8Array(20 * 2 ** 20)]);
    server.parts.set(await fakeDigest(blob), new Map([[0, blob.slice(0, 2 ** 23)]]));
    const one = upload(["large", blob]);
    await one.run();
    expect(one.progress()).toMatchObject({ stage: "done", sent: 12 * 2 ** 20, spared: 8 * 2 ** 20 });
  });

  it("waits for a server that is away", async () => {
    vi.useFakeTimers();
    const one = upload(["a", new Blob(["hello"])]);
    server.failing = 4;
    const stages: (number | null)[] = [];
    one.subscribe(() => stages.push(one.progress().away));
    const done = one.run();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await done).toMatchObject({ number: 1 });
    expect(stages.some((since) => since !== null)).toBe(true);
    expect(one.progress().away).toBeNull();
  });

  it("stops while it is paused, and for good when it is cancelled", async () => {
    const one = upload(["a", new Blob(["hello"])]);
    one.pause();
    const done = one.run();
    await new Promise((wait) => setTimeout(wait, 30));
    expect(server.asked).toEqual([]);
    one.resume();
    expect(await done).not.toBeNull();
    const other = upload(["b", new Blob(["other"])]);
    other.pause();
    const ended = other.run();
    other.cancel();
    expect(await ended).toBeNull();
    expect(other.progress().stage).toBe("cancelled");
    expect(server.versions).toHaveLength(1);
  });

  it("holds the reading of a large file, too, while it is paused", async () => {
    const held: boolean[] = [];
    let reading = false;
    const hash: Hashers["hash"] = (_files, _read, signal) =>
      new Promise((_done, fail) => {
        reading = true;
        signal?.addEventListener("abort", () => fail(signal.reason as Error));
      });
    const slow = { ...hashers(), hash, hold: (one: boolean) => void held.push(one) };
    const one = new Upload({ project: "default", name: "d", entries: [{ path: "a", blob: new Blob([new Uint8Array(20 * 2 ** 20)]) }] }, () => slow);
    const done = one.run();
    await vi.waitUntil(() => reading);
    one.pause();
    one.resume();
    one.pause();
    one.cancel();
    expect(held).toEqual([true, false, true, false]);
    expect(await done).toBeNull();
  });

  it("says what cannot be, and goes on after it was mended", async () => {
    const bad = upload(["a", new Blob(["x"])], ["a/b", new Blob(["y"])]);
    await bad.run();
    expect(bad.progress().error).toBeInstanceOf(PathFault);
    const one = upload(["a", new Blob(["x"])]);
    const real = server.fetch;
    vi.stubGlobal("fetch", async (input: string, init?: RequestInit) =>
      input.endsWith("/missing") ? Response.json({ detail: "no", code: "permission_denied" }, { status: 403 }) : real(input, init),
    );
    expect(await one.run()).toBeNull();
    expect(one.progress()).toMatchObject({ stage: "failed", error: { status: 403, detail: "no" } });
    vi.stubGlobal("fetch", real);
    expect(await one.run()).toMatchObject({ number: 1 });
    expect(one.progress()).toMatchObject({ stage: "done", error: null });
  });
});
