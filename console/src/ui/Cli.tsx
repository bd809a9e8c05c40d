import { ActionIcon, CopyButton, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import classes from "./Cli.module.css";

/** Quote a word for a POSIX shell where that is needed. */
export function shell(word: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The command line that does the same, to copy. Pass words; they are quoted here. */
export function Cli({ words }: { words: string[] }) {
  return <CopyLine text={words.map(shell).join(" ")} />;
}

/** One line of code with a button that copies it. */
export function CopyLine({ text }: { text: string }) {
  const { t } = useTranslation();
  return (
    <span className={classes.line}>
      <code>{text}</code>
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <Tooltip label={copied ? t("copied") : t("copy")}>
            <ActionIcon size="xs" onClick={copy} aria-label={`${t("copy")}: ${text}`}>
              {copied ? <IconCheck size={12} /> : <IconCopy size={12} />}
            </ActionIcon>
          </Tooltip>
        )}
      </CopyButton>
    </span>
  );
}
