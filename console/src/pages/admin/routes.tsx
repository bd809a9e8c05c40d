import type { RouteObject } from "react-router";
import { Admin } from "./Admin";

const routes: RouteObject[] = [{ path: "", element: <Admin /> }];
export default routes;
