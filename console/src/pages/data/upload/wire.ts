/** Requests of an upload that nothing else makes. */
import { fetchApi, type Schemas } from "@/api/client";

export type Parts = [offset: number, length: number][];

const BYTES = { "Content-Type": "application/octet-stream" };
const at = (...names: string[]) => `/api/v1/projects/${names.map(encodeURIComponent).join("/")}`;

/** What is still to be sent of a large blob. */
export async function missingParts(project: string, digest: string, size: number, signal: AbortSignal): Promise<Parts> {
  const response = await fetchApi(`${at(project, "blobs", digest, "parts")}?size=${String(size)}`, { signal });
  return ((await response.json()) as Schemas["BlobParts"]).missing as Parts;
}

/** Send one of these parts; true when the blob is complete and verified. */
export async function putPart(
  project: string,
  digest: string,
  size: number,
  offset: number,
  body: Blob,
  signal: AbortSignal,
): Promise<boolean> {
  const path = `${at(project, "blobs", digest, "parts", String(offset))}?size=${String(size)}`;
  const response = await fetchApi(path, { method: "PUT", body, headers: BYTES, signal });
  return ((await response.json()) as Schemas["PartStored"]).complete;
}

/** Make the next version of a manifest whose blobs have arrived. */
export async function createVersion(
  project: string,
  name: string,
  manifest: string,
  note: string,
  signal: AbortSignal,
): Promise<Schemas["VersionCreated"]> {
  const response = await fetchApi(at(project, "data", name, "versions"), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ manifest, note }),
    signal,
  });
  return (await response.json()) as Schemas["VersionCreated"];
}
