import { afterEach, describe, expect, it, vi } from "vitest";
import { hashBlob, pushFolder } from "./blobs";
import { canonical, frameHead, pathsFault } from "./manifest";
import examples from "./manifest.examples.json";

const bytesOf = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
const hexOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The (digest, bytes) pairs of a request of `blobs.put_many`, as the server reads them. */
function* framesOf(body: Uint8Array): Generator<[string, Uint8Array]> {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let at = 0; at < body.length; ) {
    const start = at + 40;
    const end = start + Number(view.getBigUint64(at + 32));
    yield [hexOf(body.subarray(at, at + 32)), body.subarray(start, end)];
    at = end;
  }
}

describe("manifests", () => {
  it.each(examples.folders)("are spelled as Python spells them, $digest", async (folder) => {
    const entries = await Promise.all(
      folder.files.map(async (file) => {
        const bytes = bytesOf(file.hex);
        return { path: file.path, size: bytes.length, digest: await hashBlob(new Blob([bytes])), executable: file.executable };
      }),
    );
    const text = canonical(entries);
    expect(new TextDecoder().decode(text)).toBe(folder.manifest);
    expect(new TextDecoder().decode(canonical(entries.reverse()))).toBe(folder.manifest);
    expect(await hashBlob(new Blob([text]))).toBe(folder.digest);
  });

  it.each(examples.paths)("take the paths that Python takes, and no others: $paths", ({ paths, fine }) => {
    expect(pathsFault(paths) === null).toBe(fine);
  });

  it("say which path is wrong", () => {
    expect(pathsFault(["ok", "../up"])).toEqual({ path: "../up", fault: "relative" });
    expect(pathsFault(["a/b", "a"])).toEqual({ path: "a/b", fault: "folder" });
    expect(pathsFault(["\ud800"])).toEqual({ path: "\ud800", fault: "unicode" });
  });
});

describe("frames", () => {
  it("are Python's", async () => {
    const made: Uint8Array[] = [];
    for (const text of examples.frames.blobs) {
      const bytes = new TextEncoder().encode(text);
      made.push(frameHead(await hashBlob(new Blob([bytes])), bytes.length), bytes);
    }
    expect(made.map(hexOf).join("")).toBe(examples.frames.hex);
  });
});

describe("a push", () => {
  afterEach(() => vi.unstubAllGlobals());

  /** A server that has some blobs and takes others. */
  function server(had: string[]) {
    const stored = new Map<string, string>();
    const requests: string[] = [];
    vi.stubGlobal("fetch", async (input: Request | string, init: RequestInit = {}) => {
      const request = input instanceof Request ? input : new Request(new URL(input, "http://nacre"), init as never);
      const path = new URL(request.url).pathname.replace("/api/v1/projects/vision/blobs", "");
      requests.push(`${request.method} ${path.replace(/[0-9a-f]{64}/, "DIGEST")}`);
      const body = new Uint8Array(await request.arrayBuffer());
      if (path === "/missing") {
        const { digests } = JSON.parse(new TextDecoder().decode(body)) as { digests: string[] };
        return Response.json({ missing: digests.filter((digest) => !had.includes(digest)) });
      }
      if (path === "") for (const [digest, bytes] of framesOf(body)) stored.set(digest, new TextDecoder().decode(bytes));
      else stored.set(path.slice(1), `${body.length} bytes`);
      return Response.json({ stored: 1 }, { status: 201 });
    });
    return { stored, requests };
  }

  it("sends what is missing, and the manifest, in one request where it is small", async () => {
    const known = await hashBlob(new Blob(["known"]));
    const { stored, requests } = server([known]);
    const sent: number[] = [];
    const pushed = await pushFolder(
      "vision",
      [
        { path: "b.py", data: new Blob(["known"]) },
        { path: "a.py", data: new Blob(["new"]), executable: true },
        { path: "same.py", data: new Blob(["new"]) },
      ],
      { sent: (bytes) => sent.push(bytes) },
    );
    expect(requests).toEqual(["POST /missing", "POST "]);
    expect([...stored.values()][0]).toBe("new");
    expect(stored.get(pushed.manifest)).toBe(new TextDecoder().decode(canonical(pushed.files)));
    expect(stored.size).toBe(2);
    expect(pushed.size).toBe(11);
    expect(sent).toEqual([3 + stored.get(pushed.manifest)!.length]);
  });

  it("sends large files by themselves and many small ones in batches", async () => {
    const { requests } = server([]);
    const small = Array.from({ length: 600 }, (_, i) => ({ path: `${i}.txt`, data: new Blob([String(i)]) }));
    await pushFolder("vision", [{ path: "large", data: new Blob(["x".repeat(2 ** 20 + 1)]) }, ...small]);
    expect(requests).toEqual(["POST /missing", "PUT /DIGEST", "POST ", "POST "]);
  });
});
