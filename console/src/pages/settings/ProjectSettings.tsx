/** A project's own page: what it is, who is in it, its secrets, and what happened in it. */
import { useTranslation } from "react-i18next";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { date, timeWithZone } from "@/ui/format";
import { Page } from "@/ui/Page";
import { useUrlState } from "@/ui/useUrlState";
import { Events } from "./Events";
import { General } from "./General";
import { Members } from "./Members";
import { Quota } from "./Quota";
import { Secrets } from "./Secrets";

export function ProjectSettings() {
  const { t, i18n } = useTranslation(["settings", "nav"]);
  const project = useProject();
  const [tab] = useUrlState("tab", "general");
  const commands: Record<string, string[]> = {
    general: ["nacre", "project", "show", project.name],
    members: ["nacre", "-p", project.name, "project", "members"],
    quota: ["nacre", "-p", project.name, "quota", "show"],
    secrets: ["nacre", "-p", project.name, "secret", "ls"],
    events: ["nacre", "-p", project.name, "event", "ls"],
  };
  return (
    <Page
      title={project.name}
      crumbs={[{ label: t("nav:projects"), to: "/projects" }]}
      facts={
        <>
          {project.role && <span>{t("yourRole", { role: t(`roles.${project.role}`) })}</span>}
          <time dateTime={project.created_at} title={timeWithZone(project.created_at, i18n.language)}>
            {t("since", { time: date(project.created_at, i18n.language) })}
          </time>
        </>
      }
      cli={<Cli words={commands[tab] ?? commands.general!} />}
      tabs={[
        { value: "general", label: t("tabs.general"), content: () => <General /> },
        { value: "members", label: t("tabs.members"), content: () => <Members /> },
        { value: "quota", label: t("tabs.quota"), content: () => <Quota /> },
        { value: "secrets", label: t("tabs.secrets"), content: () => <Secrets /> },
        { value: "events", label: t("tabs.events"), content: () => <Events /> },
      ]}
    />
  );
}
