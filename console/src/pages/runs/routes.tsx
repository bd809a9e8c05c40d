import { lazy } from "react";
import type { RouteObject } from "react-router";
import { RunsPage } from "./RunsPage";

const ComparePage = lazy(() => import("./compare/ComparePage").then((it) => ({ default: it.ComparePage })));
const RunPage = lazy(() => import("./run/RunPage").then((it) => ({ default: it.RunPage })));
const TrashPage = lazy(() => import("./TrashPage").then((it) => ({ default: it.TrashPage })));

const routes: RouteObject[] = [
  { path: "", element: <RunsPage /> },
  { path: "compare", element: <ComparePage /> },
  { path: "trash", element: <TrashPage /> },
  { path: ":run", element: <RunPage /> },
];
export default routes;
