/** Where somebody is signed in, and the tokens of their programs; each can be ended. */
import { Button, Drawer, Group, Stack, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "@/api/client";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { DataTable } from "@/ui/DataTable";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { tell, tellError } from "@/ui/notify";
import { More } from "./More";
import { usePages } from "./usePages";

type Token = Schemas["Token"];

export function UserSessions({ user, close }: { user: string; close: () => void }) {
  const { t } = useTranslation("admin");
  return (
    <Drawer
      opened={user !== ""}
      onClose={close}
      position="right"
      size="lg"
      title={t("sessions.title", { name: user })}
      closeButtonProps={{ "aria-label": t("common:close") }}
    >
      {user && <Content user={user} />}
    </Drawer>
  );
}

function Content({ user }: { user: string }) {
  const { t } = useTranslation("admin");
  const client = useQueryClient();
  const confirm = useConfirm();
  const key = ["admin", "sessions", user];
  const tokens = usePages(key, (cursor) =>
    ask(api.GET("/api/v1/users/{user}/tokens", { params: { path: { user }, query: { limit: 100, cursor: cursor ?? null } } })),
  );
  const end = useMutation({
    mutationFn: (token: Token) => ask(api.DELETE("/api/v1/users/{user}/tokens/{token}", { params: { path: { user, token: token.id } } })),
    onSuccess: () => tell(t("sessions.ended")),
    onError: tellError,
    onSettled: () => void client.invalidateQueries({ queryKey: key }),
  });
  if (tokens.error && !tokens.rows) return <Failure error={tokens.error} retry={tokens.retry} />;
  if (!tokens.rows) return <Loading />;
  const kind = (token: Token) => (token.kind === "session" ? t("sessions.session") : token.name);
  const askEnd = async (token: Token) => {
    const lost = token.kind === "session" ? t("sessions.endSession") : t("sessions.endToken", { name: token.name });
    if (await confirm({ title: t("sessions.endTitle"), lost, action: t("sessions.end") })) end.mutate(token);
  };
  return (
    <Stack gap="md">
      {tokens.rows.length === 0 ? (
        <Text size="sm" c="dimmed">
          {t("sessions.none")}
        </Text>
      ) : (
        <DataTable
          label={t("sessions.title", { name: user })}
          rows={tokens.rows}
          id={(token) => token.id}
          columns={[
            {
              key: "what",
              label: t("sessions.what"),
              cell: (token) => (
                <>
                  {kind(token)}
                  {token.current && <span className="n-soft"> {t("sessions.current")}</span>}
                </>
              ),
            },
            { key: "began", label: t("sessions.began"), wide: true, cell: (token) => <Moment iso={token.created_at} /> },
            { key: "used", label: t("sessions.used"), cell: (token) => <Moment iso={token.last_used_at} /> },
            { key: "ends", label: t("sessions.ends"), wide: true, cell: (token) => <Moment iso={token.expires_at} /> },
            {
              key: "end",
              label: t("common:actions"),
              width: 80,
              cell: (token) => (
                <Button variant="default" size="compact-xs" onClick={() => void askEnd(token)} aria-label={t("sessions.endNamed", { name: kind(token), id: token.id })}>
                  {t("sessions.end")}
                </Button>
              ),
            },
          ]}
        />
      )}
      <More {...tokens} />
      <Group>
        <Cli words={["nacre", "user", "sessions", user]} />
      </Group>
    </Stack>
  );
}
