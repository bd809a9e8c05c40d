import type { RouteObject } from "react-router";
import { Cost } from "./Cost";

const routes: RouteObject[] = [{ path: "", element: <Cost /> }];
export default routes;
