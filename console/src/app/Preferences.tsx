import { ActionIcon, Menu, useMantineColorScheme } from "@mantine/core";
import { IconCheck, IconLanguage, IconMoon, IconSun } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { type Language, LANGUAGES, speak } from "@/i18n";
import { useIsDark } from "./useIsDark";

/** Each in its own words. */
const NAMES: Record<Language, { name: string; tag: string }> = {
  en: { name: "English", tag: "en" },
  zh: { name: "简体中文", tag: "zh-CN" },
};

/** Theme and language: kept in this browser. */
export function Preferences() {
  const { t, i18n } = useTranslation("nav");
  const { setColorScheme } = useMantineColorScheme();
  const dark = useIsDark();
  const word = dark ? t("light") : t("dark");
  return (
    <>
      <ActionIcon onClick={() => setColorScheme(dark ? "light" : "dark")} aria-label={word} title={word}>
        {dark ? <IconSun size={16} /> : <IconMoon size={16} />}
      </ActionIcon>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon aria-label={t("language")} title={t("language")}>
            <IconLanguage size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {LANGUAGES.map((language) => (
            <Menu.Item
              key={language}
              lang={NAMES[language].tag}
              onClick={() => void speak(language)}
              aria-current={i18n.language === language}
              rightSection={i18n.language === language ? <IconCheck size={14} aria-hidden /> : undefined}
            >
              {NAMES[language].name}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </>
  );
}
