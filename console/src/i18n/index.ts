/**
 * Words: one JSON file per area and language, src/locales/<language>/<area>.json.
 *
 * English and Simplified Chinese are complete: `locales.test.ts` holds them to the same keys and placeholders.
 * `common`, `nav` and `status` come with the first load, the rest with the page that needs it.
 */
import i18next, { type BackendModule } from "i18next";
import { initReactI18next } from "react-i18next";

export const LANGUAGES = ["en", "zh"] as const;
export type Language = (typeof LANGUAGES)[number];

const KEY = "nacre.language";
const files = import.meta.glob<{ default: object }>("../locales/*/*.json");

const backend: BackendModule = {
  type: "backend",
  init: () => undefined,
  read: (language, area, done) => {
    const load = files[`../locales/${language}/${area}.json`];
    if (!load) done(new Error(`no words for ${area} in ${language}`), null);
    else load().then(
      (words) => done(null, words.default),
      (error: unknown) => done(error as Error, null),
    );
  },
};

function remembered(): Language {
  const said = localStorage.getItem(KEY) ?? navigator.language;
  return said.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export async function startWords(language: Language = remembered()): Promise<void> {
  await i18next
    .use(backend)
    .use(initReactI18next)
    .init({
      lng: language,
      fallbackLng: false,
      ns: ["common", "nav", "status"],
      defaultNS: "common",
      partialBundledLanguages: true,
      interpolation: { escapeValue: false },
      react: { useSuspense: true },
    });
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}

export async function speak(language: Language): Promise<void> {
  localStorage.setItem(KEY, language);
  await i18next.changeLanguage(language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
}
