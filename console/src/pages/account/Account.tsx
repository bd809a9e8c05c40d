import { useTranslation } from "react-i18next";
import { useUser } from "@/app/session";
import { Page } from "@/ui/Page";
import { Profile } from "./Profile";
import { Sessions } from "./Sessions";
import { Tokens } from "./Tokens";

/** Oneself: password, tokens, where one is signed in. */
export function Account() {
  const { t, i18n } = useTranslation("account");
  const user = useUser();
  const day = new Intl.DateTimeFormat(i18n.language, { dateStyle: "medium" });
  return (
    <Page
      title={t("title")}
      facts={
        <>
          <span>{user.name}</span>
          {user.admin && <span>{t("administrator")}</span>}
          <span>{t("since", { date: day.format(new Date(user.created_at)) })}</span>
        </>
      }
      tabs={[
        { value: "profile", label: t("tabs.profile"), content: () => <Profile /> },
        { value: "tokens", label: t("tabs.tokens"), content: () => <Tokens /> },
        { value: "sessions", label: t("tabs.sessions"), content: () => <Sessions /> },
      ]}
    />
  );
}
