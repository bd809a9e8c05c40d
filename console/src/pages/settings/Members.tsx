/** Who is in the project, and as what. */
import { ActionIcon, Button, Group, Select, Stack, TextInput } from "@mantine/core";
import { IconTrash } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { api, ask, type Schemas } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { PROJECTS } from "@/app/ProjectSwitch";
import { useUser } from "@/app/session";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { DataTable } from "@/ui/DataTable";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { tell, tellError } from "@/ui/notify";
import classes from "./Settings.module.css";

type Role = Schemas["Role"];
const ROLES: readonly Role[] = ["viewer", "editor", "owner"];

export function Members() {
  const { t } = useTranslation(["settings", "common"]);
  const project = useProject().name;
  const me = useUser().name;
  const may = useMay("owner");
  const confirm = useConfirm();
  const client = useQueryClient();
  const go = useNavigate();
  const key = ["members", project];
  const members = useQuery({
    queryKey: key,
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/members", { params: { path: { project }, query: { limit: 1000 } } })),
  });
  const again = async (user: string) => {
    await client.invalidateQueries({ queryKey: key });
    if (user !== me) return;
    await client.invalidateQueries({ queryKey: PROJECTS });
    await client.invalidateQueries({ queryKey: ["project", project] });
  };
  const put = useMutation({
    mutationFn: ({ user, role }: { user: string; role: Role }) =>
      ask(api.PUT("/api/v1/projects/{project}/members/{user}", { params: { path: { project, user } }, body: { role } })),
    onSuccess: ({ user, role }) => tell(t("members.set", { user, role: t(`roles.${role}`) })),
    onSettled: (_, __, { user }) => again(user),
  });
  const remove = useMutation({
    mutationFn: (user: string) => ask(api.DELETE("/api/v1/projects/{project}/members/{user}", { params: { path: { project, user } } })),
    onSuccess: async (_, user) => {
      tell(t("members.removed", { user }));
      if (user === me) await go("/projects");
      await again(user);
    },
    onError: tellError,
  });
  const ask_ = async (user: string) => {
    const lost = user === me ? t("members.lostOwn") : t("members.lost", { user });
    if (await confirm({ title: t("members.question", { user }), lost, action: t("common:remove") })) remove.mutate(user);
  };
  if (members.error) return <Failure error={members.error} retry={() => void members.refetch()} />;
  if (!members.data) return <Loading />;
  return (
    <Stack gap="lg">
      {may && <Add add={(user, role) => put.mutateAsync({ user, role })} />}
      <DataTable
        label={t("tabs.members")}
        rows={members.data.items}
        id={({ user }) => user}
        rowHeight={44}
        columns={[
          { key: "user", label: t("common:user"), cell: ({ user }) => (user === me ? t("members.you", { user }) : user) },
          {
            key: "role",
            label: t("members.role"),
            cell: ({ user, role }) =>
              may ? (
                <Select
                  aria-label={t("members.roleOf", { user })}
                  data={ROLES.map((one) => ({ value: one, label: t(`roles.${one}`) }))}
                  value={role}
                  onChange={(value) => value && value !== role && put.mutate({ user, role: value as Role }, { onError: tellError })}
                  allowDeselect={false}
                  w={120}
                />
              ) : (
                t(`roles.${role}`)
              ),
          },
          { key: "since", label: t("members.since"), wide: true, cell: ({ created_at }) => <Moment iso={created_at} /> },
          ...(may
            ? [
                {
                  key: "remove",
                  label: t("common:actions"),
                  width: 80,
                  cell: ({ user }: { user: string }) => (
                    <ActionIcon aria-label={t("members.remove", { user })} onClick={() => void ask_(user)}>
                      <IconTrash size={16} />
                    </ActionIcon>
                  ),
                },
              ]
            : []),
        ]}
      />
      <dl className={classes.roles}>
        {ROLES.map((role) => (
          <div key={role}>
            <dt>{t(`roles.${role}`)}</dt>
            <dd>{t(`members.may.${role}`)}</dd>
          </div>
        ))}
      </dl>
    </Stack>
  );
}

function Add({ add }: { add: (user: string, role: Role) => Promise<unknown> }) {
  const { t } = useTranslation(["settings", "common"]);
  const project = useProject().name;
  const [user, setUser] = useState("");
  const [role, setRole] = useState<Role>("editor");
  const [fault, setFault] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!user.trim()) return;
    setFault("");
    add(user.trim(), role).then(
      () => setUser(""),
      (error: unknown) => setFault(error instanceof Error ? error.message : String(error)),
    );
  };
  return (
    <form onSubmit={submit}>
      <Group gap="sm" align="flex-end">
        <TextInput label={t("members.name")} error={fault !== ""} value={user} onChange={(event) => setUser(event.currentTarget.value)} autoComplete="off" spellCheck={false} w={200} />
        <Select
          label={t("members.role")}
          data={ROLES.map((one) => ({ value: one, label: t(`roles.${one}`) }))}
          value={role}
          onChange={(value) => value && setRole(value as Role)}
          allowDeselect={false}
          w={120}
        />
        <Button type="submit" disabled={!user.trim()}>
          {t("members.add")}
        </Button>
        <span className={classes.beside}>
          <Cli words={["nacre", "-p", project, "project", "add-member", user.trim() || "NAME", "--role", role]} />
        </span>
      </Group>
      {fault && (
        <p className={classes.fault} role="alert">
          {fault}
        </p>
      )}
      <p className={classes.note}>{t("members.note")}</p>
    </form>
  );
}
