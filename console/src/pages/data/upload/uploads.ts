/** The upload under way. It belongs to no page: it goes on while people look at others. */
import { useSyncExternalStore } from "react";
import { type Progress, Upload, type UploadOptions } from "./Upload";

/** An upload that a reload or a crash cut off: what to give again so that it goes on. */
export interface Interrupted {
  project: string;
  name: string;
  note: string;
  label: string;
  files: number;
  size: number;
}

const KEY = "nacre.upload";
let current: Upload | null = null;
const listeners = new Set<() => void>();

function tell(): void {
  for (const listener of listeners) listener();
}

function hold(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

/** Start; one at a time. */
export function startUpload(options: UploadOptions): Upload {
  current?.cancel();
  const upload = new Upload(options);
  current = upload;
  const { project, name, note = "", label = "" } = options;
  const size = upload.progress().size;
  keep({ project, name, note, label, files: upload.files.length, size });
  runUpload(upload);
  tell();
  return upload;
}

/** Run it, or go on after a failure. */
export function runUpload(upload: Upload): void {
  window.addEventListener("beforeunload", hold);
  void upload.run().finally(() => {
    window.removeEventListener("beforeunload", hold);
    if (upload.over) keep(null);
  });
}

/** The page has shown how it ended. */
export function dismissUpload(): void {
  current?.cancel();
  current = null;
  keep(null);
  tell();
}

export function useUpload(): Upload | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}

export function useProgress(upload: Upload): Progress {
  return useSyncExternalStore(upload.subscribe, upload.progress);
}

function keep(one: Interrupted | null): void {
  try {
    if (one) localStorage.setItem(KEY, JSON.stringify(one));
    else localStorage.removeItem(KEY);
  } catch {
    /* no storage: nobody is reminded */
  }
}

/** What was cut off in this project; null when nothing was, or it is under way. */
export function interrupted(project: string): Interrupted | null {
  if (current) return null;
  try {
    const one = JSON.parse(localStorage.getItem(KEY) ?? "null") as Interrupted | null;
    return one?.project === project ? one : null;
  } catch {
    return null;
  }
}
