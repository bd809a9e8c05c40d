import { lazy } from "react";
import type { RouteObject } from "react-router";

const JobsPage = lazy(() => import("./JobsPage"));
const NewJobPage = lazy(() => import("./NewJobPage"));
const JobPage = lazy(() => import("./JobPage"));

const routes: RouteObject[] = [
  { path: "", element: <JobsPage /> },
  { path: "new", element: <NewJobPage /> },
  { path: ":job", element: <JobPage /> },
];
export default routes;
