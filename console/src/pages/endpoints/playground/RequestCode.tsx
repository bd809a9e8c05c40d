/** The request that was just asked, as code to take away. */
import { Button, Collapse, SegmentedControl } from "@mantine/core";
import { IconCode } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Code } from "../Code";
import { type Asked, curlOf, javaScriptOf, pythonOf } from "../snippets";
import classes from "./Playground.module.css";
import type { Question } from "./signature";

const LANGUAGES = { curl: curlOf, requests: pythonOf, javascript: javaScriptOf };
type Language = keyof typeof LANGUAGES;

export function RequestCode({ asked, question }: { asked: Asked; question: Question }) {
  const { t } = useTranslation("endpoints");
  const [open, setOpen] = useState(false);
  const [language, setLanguage] = useState<Language>("curl");
  const languages = Object.keys(LANGUAGES) as Language[];
  return (
    <div className={classes.stack} data-late>
      <div>
        <Button variant="subtle" size="compact-sm" ml={-8} leftSection={<IconCode size={14} />} aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? t("play.hideCode") : t("play.showCode")}
        </Button>
      </div>
      <Collapse expanded={open}>
        <div className={classes.stack}>
          <SegmentedControl
            value={language}
            onChange={(value) => setLanguage(value as Language)}
            data={languages.map((one) => ({ value: one, label: t(`use.languages.${one}`) }))}
            aria-label={t("use.language")}
            w="fit-content"
          />
          <Code label={t(`use.languages.${language}`)} text={LANGUAGES[language](asked, question)} />
        </div>
      </Collapse>
    </div>
  );
}
