import type { RouteObject } from "react-router";
import { EndpointPage } from "./EndpointPage";
import { EndpointsPage } from "./EndpointsPage";
import { NewEndpoint } from "./NewEndpoint";

const routes: RouteObject[] = [
  { path: "", element: <EndpointsPage /> },
  { path: "new", element: <NewEndpoint /> },
  { path: ":endpoint", element: <EndpointPage /> },
];
export default routes;
