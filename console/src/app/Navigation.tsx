/** The pages at the side: words and icons, or only icons, as somebody likes. */
import { ScrollArea, Tooltip, UnstyledButton } from "@mantine/core";
import { IconLayoutSidebarLeftCollapse, IconLayoutSidebarLeftExpand } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import classes from "./Navigation.module.css";
import { isOpen, type NavPage } from "./pages";

interface Props {
  pages: NavPage[];
  path: string;
  narrow: boolean;
  setNarrow: (narrow: boolean) => void;
}

export function Navigation({ pages, path, narrow, setNarrow }: Props) {
  const { t } = useTranslation("nav");
  const word = narrow ? t("widen") : t("narrow");
  return (
    <div className={classes.side} data-narrow={narrow || undefined}>
      <ScrollArea className={classes.scroller}>
        <nav aria-label={t("pages")} className={classes.nav}>
          {pages.map((page) => {
            const open = isOpen(page, path);
            return (
              <Tooltip key={page.key} label={t(page.key)} position="right" disabled={!narrow}>
                <Link
                  to={page.to}
                  className={classes.link}
                  data-open={open || undefined}
                  aria-current={open ? "page" : undefined}
                >
                  <page.icon size={16} stroke={1.75} aria-hidden />
                  <span className={classes.word}>{t(page.key)}</span>
                </Link>
              </Tooltip>
            );
          })}
        </nav>
      </ScrollArea>
      <Tooltip label={word} position="right" disabled={!narrow}>
        <UnstyledButton className={classes.link} onClick={() => setNarrow(!narrow)} aria-pressed={narrow} visibleFrom="sm">
          {narrow ? <IconLayoutSidebarLeftExpand size={16} stroke={1.75} aria-hidden /> : <IconLayoutSidebarLeftCollapse size={16} stroke={1.75} aria-hidden />}
          <span className={classes.word}>{word}</span>
        </UnstyledButton>
      </Tooltip>
    </div>
  );
}
