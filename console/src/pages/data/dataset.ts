/** What the pages of data ask the server for. */
import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { api, ask, fetchApi, type Schemas } from "@/api/client";

export type Dataset = Schemas["Dataset"];
export type Version = Schemas["DatasetVersion"];
export type FileEntry = Schemas["FileEntry"];

/** A version's files never change, so what is known of them is kept as long as the page is open. */
const FOREVER = Number.POSITIVE_INFINITY;

const IMAGES = /\.(png|jpe?g|gif|webp|bmp|avif)$/i;

export function isImage(path: string): boolean {
  return IMAGES.test(path);
}

const escaped = (path: string) => path.split("/").map(encodeURIComponent).join("/");

function at(project: string, dataset: string, version: number, rest: string): string {
  return `/api/v1/projects/${encodeURIComponent(project)}/data/${encodeURIComponent(dataset)}/versions/${String(version)}/${rest}`;
}

/** Where a file's bytes are. */
export function fileUrl(project: string, dataset: string, version: number, path: string): string {
  return at(project, dataset, version, `file/${escaped(path)}`);
}

/** As many as a list shows. */
export const MOST = 1000;

export const listQuery = (project: string) =>
  queryOptions({
    queryKey: ["data", project],
    queryFn: () =>
      ask(api.GET("/api/v1/projects/{project}/data", { params: { path: { project }, query: { limit: MOST } } })),
  });

export const datasetQuery = (project: string, dataset: string) =>
  queryOptions({
    queryKey: ["dataset", project, dataset],
    queryFn: () =>
      ask(api.GET("/api/v1/projects/{project}/data/{dataset}", { params: { path: { project, dataset } } })),
  });

export const versionQuery = (project: string, dataset: string, version: number) =>
  queryOptions({
    queryKey: ["dataset", project, dataset, "version", version],
    queryFn: () =>
      ask(
        api.GET("/api/v1/projects/{project}/data/{dataset}/versions/{version}", {
          params: { path: { project, dataset, version: String(version) } },
        }),
      ),
  });

export const filesQuery = (project: string, dataset: string, version: number) =>
  queryOptions({
    queryKey: ["dataset", project, dataset, "files", version],
    staleTime: FOREVER,
    queryFn: () =>
      ask(
        api.GET("/api/v1/projects/{project}/data/{dataset}/versions/{version}/files", {
          params: { path: { project, dataset, version: String(version) } },
        }),
      ),
  });

export const summaryQuery = (project: string, dataset: string, version: number) =>
  queryOptions({
    queryKey: ["dataset", project, dataset, "summary", version],
    staleTime: FOREVER,
    queryFn: () =>
      ask(
        api.GET("/api/v1/projects/{project}/data/{dataset}/versions/{version}/summary", {
          params: { path: { project, dataset, version: String(version) } },
        }),
      ),
  });

export const previewQuery = (project: string, dataset: string, version: number, path: string, offset: number) =>
  queryOptions({
    queryKey: ["dataset", project, dataset, "preview", version, path, offset],
    staleTime: FOREVER,
    queryFn: async () => {
      const response = await fetchApi(at(project, dataset, version, `preview/${escaped(path)}?offset=${String(offset)}`));
      return (await response.json()) as Schemas["Preview"];
    },
  });

/** Something of the dataset changed by this page. */
export function refresh(client: QueryClient, project: string): void {
  void client.invalidateQueries({ queryKey: ["dataset", project] });
  void client.invalidateQueries({ queryKey: ["data", project] });
}
