/** Everybody with an account: who administers, who is shut out, when they were last seen. */
import { ActionIcon, Button, Group, Menu, Stack } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { IconDots } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "@/api/client";
import { useUser } from "@/app/session";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { DataTable } from "@/ui/DataTable";
import { Failure } from "@/ui/Failure";
import { SearchFilter } from "@/ui/Filters";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { tell, tellError } from "@/ui/notify";
import { Status } from "@/ui/Status";
import { useSorted } from "@/ui/useSorted";
import { useUrlState } from "@/ui/useUrlState";
import { More } from "./More";
import { UserSessions } from "./UserSessions";
import { usePages } from "./usePages";

type User = Schemas["User"];
type Change = Schemas["UserUpdate"];

const KEY = ["admin", "users"];

export function Users() {
  const { t } = useTranslation("admin");
  const [sought, seek] = useUrlState("q");
  const [, openTab] = useUrlState("tab", "server", { push: true });
  const [watched, watch] = useUrlState("sessions", "", { push: true });
  const me = useUser();
  const users = usePages(KEY, (cursor) => ask(api.GET("/api/v1/users", { params: { query: { limit: 500, cursor: cursor ?? null } } })));
  const actions = useActions();
  const word = sought.trim().toLowerCase();
  const found = (users.rows ?? []).filter((user) => `${user.name} ${user.email ?? ""}`.toLowerCase().includes(word));
  const { rows, sort, onSort } = useSorted(found, {
    name: (user) => user.name,
    role: (user) => (user.admin ? 0 : 1),
    state: (user) => (user.disabled ? 1 : 0),
    since: (user) => user.created_at,
    seen: (user) => user.last_seen_at,
  });
  if (users.error && !users.rows) return <Failure error={users.error} retry={users.retry} />;
  if (!users.rows) return <Loading />;
  return (
    <Stack gap="md">
      <Group gap="sm">
        <SearchFilter label={t("users.search")} value={sought} onChange={seek} w={240} />
        <span className="n-soft" style={{ fontSize: 13 }}>
          {t("users.count", { count: rows.length })}
        </span>
        <Button ml="auto" onClick={() => openTab("invitations")}>
          {t("users.invite")}
        </Button>
      </Group>
      <DataTable
        label={t("tabs.users")}
        rows={rows}
        id={(user) => user.id}
        sort={sort}
        onSort={onSort}
        columns={[
          {
            key: "name",
            label: t("users.name"),
            sortable: true,
            cell: (user) => (
              <>
                <b style={{ fontWeight: 500 }}>{user.name}</b>
                {user.id === me.id && <span className="n-soft"> {t("users.you")}</span>}
              </>
            ),
          },
          { key: "email", label: t("users.email"), wide: true, cell: (user) => user.email ?? "–" },
          { key: "role", label: t("users.role"), sortable: true, cell: (user) => (user.admin ? t("users.admin") : t("users.member")) },
          {
            key: "state",
            label: t("common:state"),
            sortable: true,
            cell: (user) => <Status state={user.disabled ? "disabled" : "active"} />,
          },
          { key: "since", label: t("users.since"), sortable: true, wide: true, cell: (user) => <Moment iso={user.created_at} /> },
          {
            key: "seen",
            label: t("users.seen"),
            sortable: true,
            wide: true,
            cell: (user) => (user.last_seen_at ? <Moment iso={user.last_seen_at} /> : <span className="n-soft">{t("users.never")}</span>),
          },
          {
            key: "actions",
            label: t("common:actions"),
            width: 80,
            cell: (user) => <UserMenu user={user} own={user.id === me.id} actions={actions} sessions={() => watch(user.name)} />,
          },
        ]}
      />
      {rows.length === 0 && (
        <p className="n-soft" style={{ margin: 0 }}>
          {t("users.nobody")}
        </p>
      )}
      <More {...users} />
      <Group gap="sm">
        <Cli words={["nacre", "user", "ls"]} />
        <Cli words={["nacre", "user", "update", "NAME", "--disable"]} />
      </Group>
      <UserSessions user={watched} close={() => watch("")} />
    </Stack>
  );
}

function UserMenu({ user, own, actions, sessions }: { user: User; own: boolean; actions: ReturnType<typeof useActions>; sessions: () => void }) {
  const { t } = useTranslation("admin");
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon aria-label={t("users.actionsOf", { name: user.name })}>
          <IconDots size={16} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={sessions}>{t("users.sessions")}</Menu.Item>
        {/* Oneself is not shut out: another administrator may, or the command line. */}
        <Menu.Divider />
        <Menu.Item onClick={() => void actions.setAdmin(user)}>{user.admin ? t("users.noAdmin") : t("users.makeAdmin")}</Menu.Item>
        {!own && <Menu.Item onClick={() => void actions.setDisabled(user)}>{user.disabled ? t("users.enable") : t("users.disable")}</Menu.Item>}
        {!own && (
          <Menu.Item color="red" onClick={() => void actions.remove(user)}>
            {t("users.delete")}
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

/** What can be done to an account; what takes something away asks first and says what. */
function useActions() {
  const { t } = useTranslation("admin");
  const client = useQueryClient();
  const confirm = useConfirm();
  const me = useUser();
  const path = (user: User) => ({ params: { path: { user: user.name } } });
  const settled = { onError: tellError, onSettled: () => void client.invalidateQueries({ queryKey: KEY }) };
  const update = useMutation({
    mutationFn: ({ user, change }: { user: User; change: Change }) =>
      ask(api.PATCH("/api/v1/users/{user}", { ...path(user), body: change })),
    ...settled,
  });
  const gone = useMutation({ mutationFn: (user: User) => ask(api.DELETE("/api/v1/users/{user}", path(user))), ...settled });
  return {
    setAdmin: async (user: User) => {
      const admin = !user.admin;
      const asked = { title: t("users.adminTitle", { name: user.name }), lost: t("users.adminMeans"), action: t("users.makeAdmin") };
      const own = { title: t("users.noAdminTitle"), lost: t("users.noAdminMeans"), action: t("users.noAdmin") };
      if (admin && !(await confirm(asked))) return;
      if (user.id === me.id && !(await confirm(own))) return;
      const said = admin ? t("users.isAdmin", { name: user.name }) : t("users.isMember", { name: user.name });
      update.mutate({ user, change: { admin } }, { onSuccess: () => tell(said) });
    },
    setDisabled: async (user: User) => {
      const disabled = !user.disabled;
      const asked = { title: t("users.disableTitle", { name: user.name }), lost: t("users.disableMeans"), action: t("users.disable") };
      if (disabled && !(await confirm(asked))) return;
      const said = disabled ? t("users.isDisabled", { name: user.name }) : t("users.isEnabled", { name: user.name });
      update.mutate({ user, change: { disabled } }, { onSuccess: () => tell(said) });
    },
    remove: async (user: User) => {
      const asked = {
        title: t("users.deleteTitle", { name: user.name }),
        lost: t("users.deleteMeans"),
        action: t("users.delete"),
        typed: user.name,
      };
      if (!(await confirm(asked))) return;
      gone.mutate(user, { onSuccess: () => tell(t("users.isDeleted", { name: user.name })) });
    },
  };
}
