import type { RouteObject } from "react-router";
import { Account } from "./Account";

const routes: RouteObject[] = [{ path: "", element: <Account /> }];
export default routes;
