import { Alert, Anchor } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useSearchParams } from "react-router";
import { api, ask, Problem } from "@/api/client";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import classes from "./Door.module.css";
import { Door, useServer } from "./Door";
import { DoorForm, NameField } from "./DoorForm";
import { safeBack } from "./problems";
import { Secret } from "./Secret";
import { useForm } from "./useForm";

/** Name and password, or the code of a link (`nacre console`): `?code=`, and `?back=` where to go then. */
export function SignIn() {
  const { t } = useTranslation("door");
  const [params] = useSearchParams();
  const code = params.get("code");
  const back = safeBack(params.get("back"));
  const [failure, setFailure] = useState<unknown>(null);
  const enter = useEnter(back);
  const refused = failure instanceof Problem && (failure.status === 401 || failure.status === 403);

  useEffect(() => {
    if (code && !failure) redeem(code).then(enter, setFailure);
  }, [code, failure, enter]);
  useEffect(() => {
    // The address goes on without the code: it is of no more use.
    if (refused) window.history.replaceState(window.history.state, "", back === "/" ? "/sign-in" : `/sign-in?back=${encodeURIComponent(back)}`);
  }, [refused, back]);

  if (code && !refused) {
    return (
      <Door title={t("signingIn")}>
        {failure ? <Failure error={failure} retry={() => setFailure(null)} /> : <Loading />}
      </Door>
    );
  }
  return (
    <Door title={t("signInTitle")}>
      {refused && (
        <Alert color="red" variant="outline" title={t("linkTitle")} role="alert">
          {t("linkSpent")}
        </Alert>
      )}
      <Form enter={enter} />
      <Others />
    </Door>
  );
}

/** Forget what was read as somebody else, and go on. */
export function useEnter(to: string): () => void {
  const client = useQueryClient();
  const go = useNavigate();
  const [enter] = useState(() => () => {
    client.clear();
    void go(to, { replace: true });
  });
  return enter;
}

const redeemed = new Map<string, Promise<unknown>>();

/** Codes work once; React may run effects twice. */
function redeem(code: string): Promise<unknown> {
  let asked = redeemed.get(code);
  if (!asked) {
    asked = ask(api.POST("/api/v1/sessions/redeem", { body: { code, cookie: true } }));
    redeemed.set(code, asked);
    asked.catch(() => redeemed.delete(code));
  }
  return asked;
}

function Form({ enter }: { enter: () => void }) {
  const { t } = useTranslation("door");
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const form = useForm(false);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);
  const work = async () => {
    await ask(api.POST("/api/v1/sessions", { body: { name: name.trim(), password, cookie: true, lifetime_s: 30 * 86_400 } }));
    enter();
  };
  return (
    <DoorForm form={form} action={t("signIn")} work={work}>
      <NameField ref={first} value={name} onChange={(event) => setName(event.currentTarget.value)} error={form.of("name")} />
      <Secret
        label={t("password")}
        name="password"
        autoComplete="current-password"
        required
        withAsterisk={false}
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
        error={form.of("password")}
      />
    </DoorForm>
  );
}

/** The other ways in. */
function Others() {
  const { t } = useTranslation("door");
  const policy = useServer().data?.sign_up;
  return (
    <div className={classes.aside}>
      {policy && (
        <p>
          {policy === "closed" ? t("closedNote") : t("noAccount")}{" "}
          <Anchor component={Link} to="/sign-up" size="sm" underline="always">
            {t("signUp")}
          </Anchor>
        </p>
      )}
      <p>{t("withoutPassword")}</p>
      <Cli words={["nacre", "console"]} />
    </div>
  );
}
