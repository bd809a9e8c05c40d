import { Kbd, Modal } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { NavPage } from "./pages";
import { PALETTE_KEY } from "./shortcuts";
import classes from "./ShortcutHelp.module.css";

/** Which keys do what; `?` opens it. */
export default function ShortcutHelp({ opened, close, pages }: { opened: boolean; close: () => void; pages: NavPage[] }) {
  const { t } = useTranslation(["nav", "common"]);
  const rows: [string[], string][] = [
    [[PALETTE_KEY, "/"], t("search")],
    [["?"], t("shortcuts.help")],
    [["["], t("shortcuts.narrow")],
    ...pages.flatMap((page): [string[], string][] => (page.go ? [[[`g ${page.go}`], t(page.key)]] : [])),
  ];
  return (
    <Modal opened={opened} onClose={close} title={t("shortcuts.title")} closeButtonProps={{ "aria-label": t("common:close") }}>
      <dl className={classes.list}>
        {rows.map(([keys, what]) => (
          <div key={what} className={classes.row}>
            <dt>{what}</dt>
            <dd>
              {keys.map((key) => (
                <span key={key} className={classes.keys}>
                  {key.split(" ").map((part, position) => (
                    <Kbd key={position} size="xs">
                      {part}
                    </Kbd>
                  ))}
                </span>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
