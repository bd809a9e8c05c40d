/** Links with which somebody makes an account: each for one person, once. */
import { Button, Group, Modal, Select, Stack, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, type Schemas } from "@/api/client";
import { useProjects } from "@/app/ProjectSwitch";
import { Cli, CopyLine } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { DataTable } from "@/ui/DataTable";
import { DialogButtons } from "@/ui/DialogButtons";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { time } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { tell, tellError } from "@/ui/notify";
import { More } from "./More";
import { usePages } from "./usePages";

type Invitation = Schemas["Invitation"];

const KEY = ["admin", "invitations"];
const ROLES = ["viewer", "editor", "owner"] as const;
const LIFETIMES = [1, 7, 30] as const;
const DAY_S = 86_400;

/** What is sent to the person: the page that makes the account. */
export function invitationLink(origin: string, secret: string): string {
  return `${origin}/sign-up?invitation=${encodeURIComponent(secret)}`;
}

export function Invitations() {
  const { t } = useTranslation("admin");
  const client = useQueryClient();
  const confirm = useConfirm();
  const [asking, setAsking] = useState(false);
  const found = usePages(KEY, (cursor) =>
    ask(api.GET("/api/v1/invitations", { params: { query: { limit: 100, cursor: cursor ?? null } } })),
  );
  const again = () => void client.invalidateQueries({ queryKey: KEY });
  const withdraw = useMutation({
    mutationFn: (one: Invitation) => ask(api.DELETE("/api/v1/invitations/{invitation}", { params: { path: { invitation: one.id } } })),
    onSuccess: () => tell(t("invitations.withdrawn")),
    onError: tellError,
    onSettled: again,
  });
  const askWithdraw = async (one: Invitation) => {
    const question = { title: t("invitations.withdrawTitle"), lost: t("invitations.withdrawMeans"), action: t("invitations.withdraw") };
    if (await confirm(question)) withdraw.mutate(one);
  };
  if (found.error && !found.rows) return <Failure error={found.error} retry={found.retry} />;
  if (!found.rows) return <Loading />;
  const make = <Button onClick={() => setAsking(true)}>{t("invitations.new")}</Button>;
  return (
    <Stack gap="md">
      {found.rows.length === 0 ? (
        <Empty title={t("invitations.none")} action={make} cli={["nacre", "user", "invite", "--to", "PROJECT", "--role", "editor"]}>
          {t("invitations.text")}
        </Empty>
      ) : (
        <>
          <Group justify="space-between">
            <Text size="sm" c="dimmed">
              {t("invitations.text")}
            </Text>
            {make}
          </Group>
          <DataTable
            label={t("invitations.open")}
            rows={found.rows}
            id={(one) => one.id}
            columns={[
              {
                key: "project",
                label: t("invitations.into"),
                cell: (one) => (one.project ? t("invitations.as", { project: one.project, role: t(`role.${one.role}`, { defaultValue: one.role }) }) : t("invitations.accountOnly")),
              },
              { key: "made", label: t("common:created"), wide: true, cell: (one) => <Moment iso={one.created_at} /> },
              { key: "until", label: t("invitations.until"), cell: (one) => <Moment iso={one.expires_at} /> },
              { key: "id", label: t("invitations.id"), wide: true, cell: (one) => <span className="n-mono n-soft">{one.id}</span> },
              {
                key: "actions",
                label: t("common:actions"),
                width: 100,
                cell: (one) => (
                  <Button variant="default" size="compact-xs" onClick={() => void askWithdraw(one)} aria-label={t("invitations.withdrawNamed", { id: one.id })}>
                    {t("invitations.withdraw")}
                  </Button>
                ),
              },
            ]}
          />
          <More {...found} />
          <Group>
            <Cli words={["nacre", "user", "invitations"]} />
          </Group>
        </>
      )}
      <NewInvitation opened={asking} close={() => setAsking(false)} made={again} />
    </Stack>
  );
}

function NewInvitation({ opened, close, made }: { opened: boolean; close: () => void; made: () => void }) {
  const { t } = useTranslation("admin");
  const [invitation, setInvitation] = useState<Invitation | null>(null);
  const leave = () => {
    close();
    setInvitation(null);
  };
  return (
    <Modal opened={opened} onClose={leave} size="lg" title={invitation ? t("invitations.made") : t("invitations.new")} closeButtonProps={{ "aria-label": t("common:close") }}>
      {invitation ? (
        <Made invitation={invitation} done={leave} />
      ) : (
        <Form
          made={(one) => {
            setInvitation(one);
            made();
          }}
          cancel={leave}
        />
      )}
    </Modal>
  );
}

function Form({ made, cancel }: { made: (invitation: Invitation) => void; cancel: () => void }) {
  const { t } = useTranslation("admin");
  const [project, setProject] = useState<string | null>(null);
  const [role, setRole] = useState("editor");
  const [days, setDays] = useState("7");
  const owned = (useProjects().data?.items ?? []).filter((one) => one.role === "owner").map((one) => one.name);
  const create = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/invitations", { body: { project, role, lifetime_s: Number(days) * DAY_S } })),
    onSuccess: made,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  const cli = ["nacre", "user", "invite", ...(project ? ["--to", project, "--role", role] : []), "--lifetime", `${days}d`];
  return (
    <form onSubmit={submit}>
      <Stack gap="md">
        <Select
          label={t("invitations.project")}
          description={t("invitations.projectHelp")}
          placeholder={t("invitations.noProject")}
          data={owned}
          value={project}
          onChange={setProject}
          clearable
          searchable={owned.length > 8}
        />
        {project && (
          <Select
            label={t("invitations.role")}
            description={t(`roleMeans.${role}`)}
            data={ROLES.map((one) => ({ value: one, label: t(`role.${one}`) }))}
            value={role}
            onChange={(value) => value && setRole(value)}
            allowDeselect={false}
          />
        )}
        <Select
          label={t("invitations.lifetime")}
          data={LIFETIMES.map((count) => ({ value: String(count), label: t("invitations.days", { count }) }))}
          value={days}
          onChange={(value) => value && setDays(value)}
          allowDeselect={false}
        />
        {create.error && <Failure error={create.error} />}
        <Group>
          <Cli words={cli} />
        </Group>
        <DialogButtons action={t("invitations.create")} busy={create.isPending} cancel={cancel} />
      </Stack>
    </form>
  );
}

function Made({ invitation, done }: { invitation: Invitation; done: () => void }) {
  const { t, i18n } = useTranslation("admin");
  const secret = invitation.secret ?? "";
  return (
    <Stack gap="md">
      <Text size="sm">
        {invitation.project
          ? t("invitations.madeInto", { project: invitation.project, role: t(`role.${invitation.role}`, { defaultValue: invitation.role }), date: time(invitation.expires_at, i18n.language) })
          : t("invitations.madeAccount", { date: time(invitation.expires_at, i18n.language) })}
      </Text>
      <CopyLine text={invitationLink(window.location.origin, secret)} />
      <Text size="sm" c="dimmed">
        {t("invitations.orCli")}
      </Text>
      <Cli words={["nacre", "user", "sign-up", window.location.origin, "--invitation", secret]} />
      <Text size="sm" fw={500}>
        {t("invitations.once")}
      </Text>
      <Group justify="flex-end">
        <Button onClick={done}>{t("invitations.done")}</Button>
      </Group>
    </Stack>
  );
}
