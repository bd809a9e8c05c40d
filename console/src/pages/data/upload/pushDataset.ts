/** Push files that a page has, as a dataset's next version. */
import type { Schemas } from "@/api/client";
import { type Progress, Upload } from "./Upload";

/**
 * The version, new or the one of equal content.
 *
 *     await pushDataset("default", "digits", [{ path: "digits.csv", blob: new Blob([text]) }], (p) => show(p.sent));
 *
 * @throws Problem or Error: what the upload failed of.
 */
export async function pushDataset(
  project: string,
  name: string,
  entries: { path: string; blob: Blob }[],
  onProgress?: (progress: Progress) => void,
  note = "",
): Promise<Schemas["VersionCreated"]> {
  const upload = new Upload({ project, name, note, entries });
  const stop = onProgress ? upload.subscribe(() => onProgress(upload.progress())) : () => undefined;
  try {
    const version = await upload.run();
    if (!version) throw upload.progress().error ?? new Error("cancelled");
    return version;
  } finally {
    stop();
  }
}
