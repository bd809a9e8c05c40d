import type { RouteObject } from "react-router";
import { ModelPage } from "./ModelPage";
import { ModelsPage } from "./ModelsPage";

const routes: RouteObject[] = [
  { path: "", element: <ModelsPage /> },
  { path: ":model", element: <ModelPage /> },
];
export default routes;
