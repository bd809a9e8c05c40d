import { Anchor, TextInput } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useSearchParams } from "react-router";
import { api, ask } from "@/api/client";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import classes from "./Door.module.css";
import { Door, useServer } from "./Door";
import { DoorForm, NameField } from "./DoorForm";
import { Secret } from "./Secret";
import { useEnter } from "./SignIn";
import { useForm } from "./useForm";

/** A new account. `?invitation=` is what an administrator sent, where the server asks for one. */
export function SignUp() {
  const { t } = useTranslation("door");
  const server = useServer();
  const [params] = useSearchParams();
  const invitation = params.get("invitation") ?? "";
  const policy = server.data?.sign_up;
  return (
    <Door title={t("signUpTitle")}>
      {server.error && <Failure error={server.error} retry={() => void server.refetch()} />}
      {!policy && !server.error && <Loading />}
      {policy && (
        <>
          {invitation && <p className={classes.lead}>{t("invited")}</p>}
          {policy !== "open" && !invitation && (
            <div className={classes.note}>
              <p>{policy === "closed" ? t("closedPolicy") : t("invitePolicy")}</p>
              <Cli words={["nacre", "user", "invite"]} />
            </div>
          )}
          <Form invitation={invitation} invited={policy !== "open" || invitation !== ""} />
        </>
      )}
      <div className={classes.aside}>
        <p>
          {t("haveAccount")}{" "}
          <Anchor component={Link} to="/sign-in" size="sm" underline="always">
            {t("signIn")}
          </Anchor>
        </p>
      </div>
    </Door>
  );
}

function Form({ invitation, invited }: { invitation: string; invited: boolean }) {
  const { t } = useTranslation("door");
  const [fields, setFields] = useState({ name: "", password: "", email: "", invitation });
  const form = useForm(true);
  const enter = useEnter("/welcome");
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);
  const asked = invited && !invitation;
  const set = (field: keyof typeof fields) => (event: { currentTarget: { value: string } }) => {
    const { value } = event.currentTarget;
    setFields((before) => ({ ...before, [field]: value }));
  };
  const work = async () => {
    const body = {
      name: fields.name.trim(),
      password: fields.password,
      email: fields.email.trim() || null,
      invitation: fields.invitation.trim() || null,
      cookie: true,
    };
    await ask(api.POST("/api/v1/users", { body }));
    enter();
  };
  return (
    <DoorForm form={form} action={t("signUp")} work={work}>
      {invited && (
        <TextInput
          size="sm"
          label={t("invitation")}
          description={t("invitationRule")}
          ref={asked ? first : undefined}
          classNames={{ input: "n-mono" }}
          autoComplete="off"
          spellCheck={false}
          required
          withAsterisk={false}
          value={fields.invitation}
          onChange={set("invitation")}
          error={form.of("invitation")}
        />
      )}
      <NameField
        ref={asked ? undefined : first}
        description={t("nameRule")}
        maxLength={64}
        value={fields.name}
        onChange={set("name")}
        error={form.of("name")}
      />
      <Secret
        label={t("password")}
        description={t("passwordRule")}
        name="password"
        autoComplete="new-password"
        maxLength={256}
        required
        withAsterisk={false}
        value={fields.password}
        onChange={set("password")}
        error={form.of("password")}
      />
      <TextInput
        size="sm"
        type="email"
        label={t("email")}
        description={t("emailRule")}
        name="email"
        autoComplete="email"
        value={fields.email}
        onChange={set("email")}
        error={form.of("email")}
      />
    </DoorForm>
  );
}
