/** Every page's address. Each area brings its own chunk: `src/pages/<area>/routes.tsx`. */
import { type RouteObject, useRoutes } from "react-router";
import { InProject } from "./project";
import { Layout } from "./Layout";
import { NotFoundPage, RouteFailure } from "./NotFoundPage";
import { Loading } from "@/ui/Loading";
import { SignedIn } from "./session";

type Area = { default: RouteObject[] };

/** A route whose subtree is loaded when somebody goes there. */
function area(path: string, load: () => Promise<Area>): RouteObject {
  return { path: `${path}/*`, lazy: async () => ({ Component: subtree((await load()).default) }) };
}

function subtree(routes: RouteObject[]) {
  return function Subtree() {
    return useRoutes(routes);
  };
}

/** While the first page's chunk is on its way. */
const hydrateFallbackElement = <Loading />;

export const routes: RouteObject[] = [
  { path: "/sign-in", hydrateFallbackElement, lazy: async () => ({ Component: (await import("@/pages/door/SignIn")).SignIn }) },
  { path: "/sign-up", hydrateFallbackElement, lazy: async () => ({ Component: (await import("@/pages/door/SignUp")).SignUp }) },
  {
    path: "/",
    element: (
      <SignedIn>
        <Layout />
      </SignedIn>
    ),
    errorElement: <RouteFailure />,
    hydrateFallbackElement,
    children: [
      { index: true, lazy: async () => ({ Component: (await import("@/pages/home/Home")).Home }) },
      { path: "welcome", lazy: async () => ({ Component: (await import("@/pages/welcome/Welcome")).Welcome }) },
      area("projects", () => import("@/pages/projects/routes")),
      area("account", () => import("@/pages/account/routes")),
      area("cost", () => import("@/pages/cost/routes")),
      area("admin", () => import("@/pages/admin/routes")),
      {
        path: "p/:project",
        element: <InProject />,
        children: [
          area("instances", () => import("@/pages/instances/routes")),
          area("environments", () => import("@/pages/environments/routes")),
          area("data", () => import("@/pages/data/routes")),
          area("jobs", () => import("@/pages/jobs/routes")),
          area("runs", () => import("@/pages/runs/routes")),
          area("models", () => import("@/pages/models/routes")),
          area("endpoints", () => import("@/pages/endpoints/routes")),
          area("settings", () => import("@/pages/settings/routes")),
        ],
      },
      { path: "*", element: <NotFoundPage /> },
    ],
  },
];
