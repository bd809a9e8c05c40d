import { lazy } from "react";
import type { RouteObject } from "react-router";

const DataPage = lazy(() => import("./DataPage"));
const NewDataPage = lazy(() => import("./NewDataPage"));
const DatasetPage = lazy(() => import("./DatasetPage"));

const routes: RouteObject[] = [
  { path: "", element: <DataPage /> },
  { path: "new", element: <NewDataPage /> },
  { path: ":dataset", element: <DatasetPage /> },
];
export default routes;
