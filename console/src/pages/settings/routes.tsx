import type { RouteObject } from "react-router";
import { ProjectSettings } from "./ProjectSettings";

const routes: RouteObject[] = [{ path: "", element: <ProjectSettings /> }];
export default routes;
