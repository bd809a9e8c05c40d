/** Who is signed in. The session is an HttpOnly cookie: no script, ours included, can read it. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect } from "react";
import { Navigate, useLocation } from "react-router";
import { api, ask, onSignedOut, Problem, type Schemas } from "@/api/client";
import { live } from "@/api/live";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";

export type User = Schemas["User"];

const Context = createContext<User | null>(null);

/** The signed-in user; only inside `<SignedIn>`. */
export function useUser(): User {
  const user = useContext(Context);
  if (!user) throw new Error("useUser outside of SignedIn");
  return user;
}

export const ME = ["me"] as const;

/** Its children, for who is signed in; everybody else goes to the sign-in page and comes back afterwards. */
export function SignedIn({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const place = useLocation();
  const me = useQuery({ queryKey: ME, queryFn: () => ask(api.GET("/api/v1/me")), staleTime: 60_000 });
  useEffect(
    () =>
      onSignedOut(() => {
        live.close();
        void client.resetQueries({ queryKey: ME });
      }),
    [client],
  );
  if (me.error instanceof Problem && me.error.status === 401) {
    const back = place.pathname === "/" ? "" : `?back=${encodeURIComponent(place.pathname + place.search)}`;
    return <Navigate to={`/sign-in${back}`} replace />;
  }
  if (me.error && !me.data) return <Failure error={me.error} retry={() => void me.refetch()} />;
  if (!me.data) return <Loading />;
  return <Context.Provider value={me.data}>{children}</Context.Provider>;
}
