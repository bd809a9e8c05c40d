import { lazy } from "react";
import type { RouteObject } from "react-router";

const InstancesPage = lazy(() => import("./InstancesPage"));
const NewInstancePage = lazy(() => import("./NewInstancePage"));
const InstancePage = lazy(() => import("./InstancePage"));

const routes: RouteObject[] = [
  { path: "", element: <InstancesPage /> },
  { path: "new", element: <NewInstancePage /> },
  { path: ":instance", element: <InstancePage /> },
];
export default routes;
