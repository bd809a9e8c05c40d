/** Every page's address. Each area brings its own chunk: `src/pages/<area>/routes.tsx`. */
import i18next from "i18next";
import { type RouteObject, useRoutes } from "react-router";
import { InProject } from "./project";
import { Layout } from "./Layout";
import { NotFoundPage, RouteFailure } from "./NotFoundPage";
import { Loading } from "@/ui/Loading";
import { SignedIn } from "./session";

type Area = { default: RouteObject[] };

/** A route whose subtree is loaded when somebody goes there, and beside it the words of the areas that it shows. */
function area(path: string, load: () => Promise<Area>, more: string[] = []): RouteObject {
  return {
    path: `${path}/*`,
    lazy: async () => {
      const [found] = await Promise.all([load(), i18next.loadNamespaces([path, ...more])]);
      return { Component: subtree(found.default) };
    },
  };
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
      area("queue", () => import("@/pages/queue/routes"), ["admin"]),
      area("admin", () => import("@/pages/admin/routes")),
      {
        path: "p/:project",
        element: <InProject />,
        children: [
          area("instances", () => import("@/pages/instances/routes")),
          area("environments", () => import("@/pages/environments/routes")),
          area("data", () => import("@/pages/data/routes")),
          area("jobs", () => import("@/pages/jobs/routes"), ["logs", "system"]),
          area("runs", () => import("@/pages/runs/routes"), ["charts", "system"]),
          area("models", () => import("@/pages/models/routes")),
          area("endpoints", () => import("@/pages/endpoints/routes")),
          area("settings", () => import("@/pages/settings/routes"), ["queue"]),
        ],
      },
      { path: "*", element: <NotFoundPage /> },
    ],
  },
];
