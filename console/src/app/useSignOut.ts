import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "react-router";
import { api, ask } from "@/api/client";
import { live } from "@/api/live";

/** End the session here and on the server, and forget what was read. */
export function useSignOut(): () => void {
  const client = useQueryClient();
  const go = useNavigate();
  return () => {
    void ask(api.DELETE("/api/v1/sessions/current"))
      .catch(() => undefined)
      .finally(() => {
        live.close();
        void go("/sign-in", { replace: true });
        client.clear();
      });
  };
}
