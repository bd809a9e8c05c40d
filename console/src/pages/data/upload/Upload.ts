/**
 * One upload of a dataset's next version: hashing, asking what is missing, sending it, naming the version.
 *
 * What has arrived is known by the server alone, so an upload that was cut off at any byte goes on where it was
 * when the same files are given again. While the server is away it waits and tries again; it stops only for what
 * trying again would not mend.
 */
import { missingBlobs, putBlob, putBlobs } from "@/api/blobs";
import { Problem, type Schemas } from "@/api/client";
import { canonical, type FileEntry, pathsFault } from "@/api/manifest";
import { Effort } from "./Effort";
import { FileUnreadable, type Hashers, startHashers } from "./hashing";
import { hashWork, type UploadFile } from "./hashWork";
import { type Piece, plan, Rate } from "./plan";
import { forget, keyOf } from "./remembered";
import { createVersion, missingParts, type Parts, putPart } from "./wire";

export type Stage = "hashing" | "asking" | "sending" | "naming" | "done" | "failed" | "cancelled";
/** What is shown; a new one at each change, a few times a second. */
export interface Progress {
  stage: Stage;
  paused: boolean;
  /** The server has not answered: since when, in ms of the epoch. */
  away: number | null;
  files: number;
  size: number;
  hashed: number;
  /** Bytes that have to be sent, of which so many were. */
  lacking: number;
  sent: number;
  /** Bytes that the project had before, or had from an earlier try. */
  spared: number;
  rate: number | null;
  /** Seconds to go in this stage; null when unknown. */
  left: number | null;
  error: Error | null;
  version: Schemas["VersionCreated"] | null;
}

export interface UploadOptions {
  project: string;
  name: string;
  note?: string;
  entries: { path: string; blob: Blob }[];
  /** The folder's name: where remembered digests are looked for. */
  label?: string;
}

const AT_ONCE = 4;
const ROUNDS = 3;
const TELL_MS = 200;

export class PathFault extends Error {
  constructor(
    readonly path: string,
    readonly fault: string,
  ) {
    super(path);
  }
}

export class Upload {
  readonly project: string;
  readonly name: string;
  readonly note: string;
  readonly label: string;
  readonly files: UploadFile[];
  private readonly size: number;
  private stage: Stage = "hashing";
  private error: Error | null = null;
  private version: Schemas["VersionCreated"] | null = null;
  private hashed = 0;
  private lacking = 0;
  private sent = 0;
  private spared = 0;
  private readonly rate = new Rate();
  private readonly effort = new Effort({ onAway: () => this.tell(), onBack: () => this.rateAnew() });
  private hashing: Hashers | null = null;
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private shown: Progress;

  constructor(options: UploadOptions, private readonly hashers: () => Hashers = startHashers) {
    this.project = options.project;
    this.name = options.name;
    this.note = options.note ?? "";
    this.label = options.label ?? "";
    this.files = options.entries.map(({ path, blob }) => ({ path, blob, digest: null, state: "waiting", done: 0 }));
    this.size = this.files.reduce((sum, file) => sum + file.blob.size, 0);
    this.shown = this.look();
  }

  // What is shown

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  progress = (): Progress => this.shown;

  get over(): boolean {
    return this.stage === "done" || this.stage === "cancelled";
  }

  private look(): Progress {
    const { size } = this;
    const rate = this.rate.perSecond();
    const rest = this.stage === "hashing" ? size - this.hashed : this.lacking - this.sent;
    return {
      stage: this.stage,
      paused: this.effort.paused,
      away: this.effort.away,
      files: this.files.length,
      size,
      hashed: this.hashed,
      lacking: this.lacking,
      sent: this.sent,
      spared: this.spared,
      rate,
      left: rate && rate > 0 && (this.stage === "hashing" || this.stage === "sending") ? rest / rate : null,
      error: this.error,
      version: this.version,
    };
  }

  private tell(now = false): void {
    const show = () => {
      clearTimeout(this.timer);
      this.timer = undefined;
      this.shown = this.look();
      for (const listener of this.listeners) listener();
    };
    if (now) show();
    else this.timer ??= setTimeout(show, TELL_MS);
  }

  private become(stage: Stage): void {
    this.stage = stage;
    this.rateAnew();
  }

  /** What was before says nothing of the speed from here. */
  private rateAnew(): void {
    this.rate.reset();
    this.tell(true);
  }

  // What people do

  /** Do it all, or go on after a failure. The version when it is done; null when it failed or was cancelled. */
  async run(): Promise<Schemas["VersionCreated"] | null> {
    this.effort.begin();
    this.error = null;
    try {
      const fault = pathsFault(this.files.map((file) => file.path));
      if (fault) throw new PathFault(fault.path, fault.fault);
      this.become("hashing");
      await this.hashAll();
      this.become("asking");
      const { manifest, text, missing } = await this.ask();
      this.become("sending");
      await this.send(manifest, text, missing);
      this.become("naming");
      const { project, name, note } = this;
      this.version = await this.effort.again(() => createVersion(project, name, manifest, note, this.effort.signal));
      this.become("done");
      return this.version;
    } catch (error) {
      if (this.effort.signal.aborted) {
        this.become("cancelled");
      } else {
        this.effort.abort();
        this.error = error instanceof Error ? error : new Error(String(error));
        await this.forgetChanged(this.error);
        this.become("failed");
      }
      return null;
    }
  }

  pause(): void {
    this.effort.pause();
    this.hashing?.hold(true);
    this.rateAnew();
  }

  resume(): void {
    this.effort.resume();
    this.hashing?.hold(false);
    this.rateAnew();
  }

  cancel(): void {
    this.effort.abort(new DOMException("cancelled", "AbortError"));
    this.resume();
    if (this.stage === "failed") this.become("cancelled");
  }

  // Within

  private async hashAll(): Promise<void> {
    const rest = this.files.filter((file) => file.digest === null);
    this.hashed = this.files.reduce((sum, file) => sum + (file.digest === null ? 0 : file.blob.size), 0);
    const hashers = (this.hashing = this.hashers());
    if (this.effort.paused) hashers.hold(true);
    const read = (bytes: number) => {
      this.hashed += bytes;
      this.rate.add(this.hashed);
      this.tell();
    };
    try {
      const work = hashWork(rest, { hashers, label: this.label, signal: this.effort.signal, read });
      await this.effort.together(work, hashers.width);
    } finally {
      this.hashing = null;
      hashers.end();
    }
  }

  private async ask(): Promise<{ manifest: string; text: Blob; missing: Set<string> }> {
    const entries: FileEntry[] = this.files.map((file) => ({
      path: file.path,
      size: file.blob.size,
      digest: file.digest!,
      executable: false,
    }));
    const text = new Blob([canonical(entries)]);
    const hashers = this.hashers();
    const [digest] = await hashers.hash([text]).finally(() => hashers.end());
    const manifest = digest!;
    const digests = [...entries.map((entry) => entry.digest), manifest];
    const missing = await this.effort.again(() => missingBlobs(this.project, digests, this.effort.signal));
    this.lacking = this.sent = this.spared = 0;
    const counted = new Set<string>();
    for (const file of this.files) {
      const lacks = missing.has(file.digest!);
      file.state = lacks ? "hashed" : "there";
      file.done = lacks ? 0 : file.blob.size;
      if (!lacks) this.spared += file.blob.size;
      else if (!counted.has(file.digest!)) this.lacking += file.blob.size;
      else this.spared += file.blob.size;
      counted.add(file.digest!);
    }
    return { manifest, text, missing };
  }

  private async send(manifest: string, text: Blob, missing: Set<string>): Promise<void> {
    const byDigest = new Map<string, UploadFile[]>();
    for (const file of this.files) {
      const same = byDigest.get(file.digest!);
      if (same) same.push(file);
      else byDigest.set(file.digest!, [file]);
    }
    const pieces = [...byDigest].flatMap(([digest, [file]]) => (missing.has(digest) ? [{ digest, blob: file!.blob }] : []));
    const count = (digest: string, bytes: number) => {
      for (const [at, file] of (byDigest.get(digest) ?? []).entries()) {
        file.done = Math.min(file.blob.size, file.done + bytes);
        file.state = file.done >= file.blob.size ? "there" : "sending";
        if (at === 0) this.sent += bytes;
      }
      this.rate.add(this.sent);
      this.tell();
    };
    const begin = (digest: string) => {
      for (const file of byDigest.get(digest) ?? []) file.state = "sending";
    };
    const { batches, whole, large } = plan(pieces);
    const small = batches.map((batch) => async () => {
      for (const { digest } of batch) begin(digest);
      await this.effort.again(
        () => putBlobs(this.project, batch.map(({ digest, blob }) => [digest, blob]), this.effort.signal),
        () => this.check(batch.map(({ blob }) => blob)),
      );
      for (const { digest, blob } of batch) count(digest, blob.size);
    });
    const middling = whole.map(({ digest, blob }) => async () => {
      begin(digest);
      await this.effort.again(() => putBlob(this.project, digest, blob, this.effort.signal), () => this.check([blob]));
      count(digest, blob.size);
    });
    const parts = new Map<string, Parts>();
    for (const { digest, blob } of large) {
      const mine = await this.effort.again(() => missingParts(this.project, digest, blob.size, this.effort.signal));
      const there = blob.size - mine.reduce((sum, [, length]) => sum + length, 0);
      this.spared += there;
      this.lacking -= there;
      for (const file of byDigest.get(digest) ?? []) file.done = there;
      parts.set(digest, mine);
    }
    await this.effort.together([...middling, ...small], AT_ONCE);
    for (const piece of large) {
      begin(piece.digest);
      await this.sendLarge(piece, count, parts.get(piece.digest));
    }
    if (missing.has(manifest)) {
      const [one] = plan([{ digest: manifest, blob: text }]).large;
      if (one) await this.sendLarge(one, () => undefined);
      else await this.effort.again(() => putBlob(this.project, manifest, text, this.effort.signal));
    }
  }

  /** `known`: the parts that are missing, where that was asked just before. */
  private async sendLarge({ digest, blob }: Piece, count: (digest: string, bytes: number) => void, known?: Parts): Promise<void> {
    const signal = this.effort.signal;
    for (let round = 0; round < ROUNDS; round += 1) {
      const parts = round === 0 && known ? known : await this.effort.again(() => missingParts(this.project, digest, blob.size, this.effort.signal));
      let complete = false;
      await this.effort.together(
        parts.map(([offset, length]) => async () => {
          if (complete) return;
          const part = blob.slice(offset, offset + length);
          complete ||= await this.effort.again(() => putPart(this.project, digest, blob.size, offset, part, signal), () => this.check([blob]));
          count(digest, length);
        }),
        AT_ONCE,
      );
      if (complete || !parts.length) {
        for (const file of this.files) if (file.digest === digest) [file.done, file.state] = [file.blob.size, "there"];
        return;
      }
    }
    throw new Problem(503, "unavailable", "the server did not keep all parts of a large file: try again to go on");
  }

  /** To the browser, a file that changed meanwhile fails like a server that is away. */
  private async check(blobs: Blob[]): Promise<void> {
    for (const blob of blobs) {
      try {
        await blob.slice(0, 1).arrayBuffer();
      } catch {
        throw new FileUnreadable(this.files.find((file) => file.blob === blob)?.path ?? "");
      }
    }
  }

  /** The server says that bytes do not hash as they did: what was remembered of them is wrong. */
  private async forgetChanged(error: Error): Promise<void> {
    const extra = error instanceof Problem ? (error.extra.extra as { digest?: string } | undefined) : undefined;
    const digest = extra?.digest;
    if (!digest) return;
    for (const file of this.files) {
      if (file.digest !== digest) continue;
      file.digest = null;
      file.state = "waiting";
      if (file.blob instanceof File) await forget(keyOf(this.label, file.path, file.blob));
    }
  }
}
