import type { RouteObject } from "react-router";
import { Projects } from "./Projects";

const routes: RouteObject[] = [{ path: "", element: <Projects /> }];
export default routes;
