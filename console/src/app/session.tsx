/** Who is signed in. The session is an HttpOnly cookie: no script, ours included, can read it. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect } from "react";
import { Navigate, useLocation } from "react-router";
import { api, ask, onSignedOut, Problem, type Schemas } from "@/api/client";
import { live } from "@/api/live";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";

export type User = Schemas["Me"];

const Context = createContext<User | null>(null);

/** The signed-in user; only inside `<SignedIn>`. */
export function useUser(): User {
  const user = useContext(Context);
  if (!user) throw new Error("useUser outside of SignedIn");
  return user;
}

export const ME = ["me"] as const;

/** Oneself; null for nobody. */
async function me(): Promise<User | null> {
  try {
    return await ask(api.GET("/api/v1/me"));
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return null;
    throw error;
  }
}

/** Its children, for who is signed in; everybody else goes to the sign-in page and comes back afterwards. */
export function SignedIn({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const place = useLocation();
  const user = useQuery({ queryKey: ME, queryFn: me, staleTime: 60_000 });
  useEffect(
    () =>
      onSignedOut(() => {
        live.close();
        client.setQueryData(ME, null);
      }),
    [client],
  );
  if (user.data === null) {
    const here = place.pathname + place.search + place.hash;
    const back = here === "/" ? "" : `?back=${encodeURIComponent(here)}`;
    return <Navigate to={`/sign-in${back}`} replace />;
  }
  if (user.error && !user.data) return <Failure error={user.error} retry={() => void user.refetch()} />;
  if (!user.data) return <Loading />;
  return <Context.Provider value={user.data}>{children}</Context.Provider>;
}
