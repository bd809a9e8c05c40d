import { lazy } from "react";
import type { RouteObject } from "react-router";

const EnvironmentsPage = lazy(() => import("./EnvironmentsPage"));
const NewEnvironmentPage = lazy(() => import("./NewEnvironmentPage"));
const EnvironmentPage = lazy(() => import("./EnvironmentPage"));

const routes: RouteObject[] = [
  { path: "", element: <EnvironmentsPage /> },
  { path: "new", element: <NewEnvironmentPage /> },
  { path: ":environment", element: <EnvironmentPage /> },
];
export default routes;
