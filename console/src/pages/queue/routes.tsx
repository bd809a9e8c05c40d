import { lazy } from "react";
import type { RouteObject } from "react-router";

const QueuePage = lazy(() => import("./QueuePage"));

const routes: RouteObject[] = [{ path: "", element: <QueuePage /> }];
export default routes;
