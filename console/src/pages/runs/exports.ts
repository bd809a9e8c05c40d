/** Addresses of what is downloaded. Parts are encoded one by one: names may hold anything. */
export interface ExportSpec {
  format: "csv" | "parquet";
  what: "runs" | "points";
  runs?: string[];
  filter?: string;
  order_by?: string[];
  experiments?: string[];
}

const base = (project: string) => `/api/v1/projects/${encodeURIComponent(project)}`;

export function exportUrl(project: string, spec: ExportSpec): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(spec) as [string, string | string[] | undefined][]) {
    if (Array.isArray(value)) for (const one of value) query.append(name, one);
    else if (value) query.set(name, String(value));
  }
  return `${base(project)}/run-export?${query.toString()}`;
}

export function artifactUrl(project: string, run: string, path: string): string {
  return `${base(project)}/runs/${encodeURIComponent(run)}/artifacts/${path.split("/").map(encodeURIComponent).join("/")}`;
}
