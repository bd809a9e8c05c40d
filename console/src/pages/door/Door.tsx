/** The frame of the pages for who is not signed in: the name of the place, and a form. */
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { Logo } from "@/app/Logo";
import { Preferences } from "@/app/Preferences";
import classes from "./Door.module.css";
import { Layers } from "./Layers";

/** What the server tells everybody. */
export function useServer() {
  return useQuery({ queryKey: ["server"], queryFn: () => ask(api.GET("/api/v1")), staleTime: 60_000 });
}

export function Door({ title, children }: { title: string; children: ReactNode }) {
  const { t } = useTranslation("door");
  const server = useServer().data;
  useEffect(() => {
    document.title = `${title} · Nacre`;
  }, [title]);
  return (
    <div className={classes.door}>
      <aside className={classes.side} aria-hidden>
        <Layers />
        <div className={classes.words}>
          <p className={classes.tagline}>{t("tagline")}</p>
          <p className={classes.steps}>{t("steps")}</p>
        </div>
      </aside>
      <div className={classes.main}>
        <header className={classes.bar}>
          <span className={classes.brand}>
            <Logo size={24} />
            Nacre
          </span>
          <span className={classes.preferences}>
            <Preferences />
          </span>
        </header>
        <main className={classes.form}>
          <h1 className={classes.title}>{title}</h1>
          {children}
        </main>
        <footer className={classes.foot}>
          {server && t("server", { version: server.version, host: window.location.host })}
        </footer>
      </div>
    </div>
  );
}
