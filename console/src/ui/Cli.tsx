import { ActionIcon, CopyButton, Tooltip } from "@mantine/core";
import { IconCheck, IconCopy } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import classes from "./Cli.module.css";

/** Quote a word for a POSIX shell where that is needed. */
export function shell(word: string): string {
  if (/^[A-Za-z0-9_./:@%+=,-]+$/.test(word)) return word;
  // In double quotes a shell reads these four, and many an interactive one the exclamation mark.
  if (word.includes("'") && !/["$`\\!]/.test(word)) return `"${word}"`;
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** The command line that does the same, to copy. Pass words; they are quoted here. `wrap`: over several lines, never within a word. */
export function Cli({ words, wrap = false }: { words: string[]; wrap?: boolean }) {
  return <CopyLine text={words.map(shell).join(" ")} wrap={wrap} />;
}

/** One line of code with a button that copies it. */
export function CopyLine({ text, wrap = false }: { text: string; wrap?: boolean }) {
  const { t } = useTranslation();
  return (
    <span className={classes.line} data-wrap={wrap || undefined}>
      <code>{wrap ? text.split(" ").map((word, at) => [at > 0 && " ", <span key={at}>{word}</span>]) : text}</code>
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
