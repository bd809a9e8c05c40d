/** The project of the page. Pages under /p/:project read it here. */
import { useQuery } from "@tanstack/react-query";
import { createContext, useContext } from "react";
import { Outlet, useParams } from "react-router";
import { api, ask, Problem, type Schemas } from "@/api/client";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { NotFoundPage } from "./NotFoundPage";

export type Project = Schemas["Project"];

const Context = createContext<Project | null>(null);
const RANK = { viewer: 0, editor: 1, owner: 2 } as const;

export function useProject(): Project {
  const project = useContext(Context);
  if (!project) throw new Error("useProject outside of a project's page");
  return project;
}

/** Whether the user may do in this project what the role may. Buttons that would be refused are not shown. */
export function useMay(role: keyof typeof RANK): boolean {
  const mine = useProject().role;
  return mine !== null && mine !== undefined && RANK[mine] >= RANK[role];
}

/** The route element of /p/:project. */
export function InProject() {
  const name = useParams().project!;
  const project = useQuery({
    queryKey: ["project", name],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}", { params: { path: { project: name } } })),
  });
  if (project.error instanceof Problem && project.error.status === 404) return <NotFoundPage error={project.error} />;
  if (project.error) return <Failure error={project.error} retry={() => void project.refetch()} />;
  if (!project.data) return <Loading />;
  return (
    <Context.Provider value={project.data}>
      <Outlet />
    </Context.Provider>
  );
}
