import { ActionIcon, Menu, useMantineColorScheme } from "@mantine/core";
import { IconLanguage, IconMoon, IconSun } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { speak } from "@/i18n";

/** Theme and language: kept in this browser. */
export function Preferences() {
  const { t, i18n } = useTranslation("nav");
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const dark = colorScheme === "dark" || (colorScheme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  return (
    <>
      <ActionIcon onClick={() => setColorScheme(dark ? "light" : "dark")} aria-label={dark ? t("light") : t("dark")} title={dark ? t("light") : t("dark")}>
        {dark ? <IconSun size={16} /> : <IconMoon size={16} />}
      </ActionIcon>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon aria-label={t("language")} title={t("language")}>
            <IconLanguage size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item lang="en" onClick={() => void speak("en")} aria-current={i18n.language === "en"}>
            English
          </Menu.Item>
          <Menu.Item lang="zh-CN" onClick={() => void speak("zh")} aria-current={i18n.language === "zh"}>
            简体中文
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </>
  );
}
