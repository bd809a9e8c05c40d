/** One's own tokens and sign-ins. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { api, ask, type Schemas } from "@/api/client";

export type Token = Schemas["Token"];

const TOKENS = ["tokens"] as const;
const PAGE = 500;

/** Every one, newest first. Those that have ended stay a week with the server; sessions among them are of no interest. */
async function all(): Promise<Token[]> {
  const found: Token[] = [];
  let cursor: string | null | undefined;
  do {
    const page = await ask(api.GET("/api/v1/tokens", { params: { query: { limit: PAGE, cursor: cursor ?? null } } }));
    found.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return found;
}

export function useTokens() {
  return useQuery({ queryKey: TOKENS, queryFn: all });
}

export function ended(token: Token, now = Date.now()): boolean {
  return token.expires_at != null && new Date(token.expires_at).getTime() <= now;
}

/** Revoke some, by id. */
export function useRevoke() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async (ids: string[]) => {
      for (const token of ids) await ask(api.DELETE("/api/v1/tokens/{token}", { params: { path: { token } } }));
    },
    onSettled: () => client.invalidateQueries({ queryKey: TOKENS }),
  });
}

export function useCreateToken() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: Schemas["TokenCreate"]) => ask(api.POST("/api/v1/tokens", { body })),
    onSuccess: () => client.invalidateQueries({ queryKey: TOKENS }),
  });
}

export function useScopes(wanted: boolean) {
  return useQuery({
    queryKey: ["scopes"],
    queryFn: () => ask(api.GET("/api/v1/scopes")),
    staleTime: Number.POSITIVE_INFINITY,
    enabled: wanted,
  });
}
