/** What an administrator sees and decides for the whole server. */
import { useTranslation } from "react-i18next";
import { useUser } from "@/app/session";
import { Empty } from "@/ui/Empty";
import { Page } from "@/ui/Page";
import { Doctor } from "./Doctor";
import { Events } from "./Events";
import { Invitations } from "./Invitations";
import { Server } from "./Server";
import { Settings } from "./Settings";
import { Users } from "./Users";

export function Admin() {
  const { t } = useTranslation("admin");
  if (!useUser().admin) {
    return (
      <Page title={t("title")}>
        <Empty title={t("others.title")} cli={["nacre", "user", "me"]}>
          {t("others.text")}
        </Empty>
      </Page>
    );
  }
  return (
    <Page
      title={t("title")}
      tabs={[
        { value: "server", label: t("tabs.server"), content: () => <Server /> },
        { value: "users", label: t("tabs.users"), content: () => <Users /> },
        { value: "invitations", label: t("tabs.invitations"), content: () => <Invitations /> },
        { value: "settings", label: t("tabs.settings"), content: () => <Settings /> },
        { value: "doctor", label: t("tabs.doctor"), content: () => <Doctor /> },
        { value: "events", label: t("tabs.events"), content: () => <Events /> },
      ]}
    />
  );
}
