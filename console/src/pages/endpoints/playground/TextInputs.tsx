/** Questions as text: lines for a model that takes words, and the request itself as JSON. */
import { Button, Textarea } from "@mantine/core";
import { IconRestore } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { CodeEditor } from "@/ui/CodeEditor";
import classes from "./Playground.module.css";
import { exampleOf, type Question, questionOf, type Signature } from "./signature";

interface Props {
  signature: Signature;
  onQuestion: (question: Question | null) => void;
}

function useTold(question: Question | null, onQuestion: Props["onQuestion"]): void {
  const told = useRef(onQuestion);
  useEffect(() => {
    told.current = onQuestion;
  });
  const text = JSON.stringify(question);
  useEffect(() => told.current(JSON.parse(text) as Question | null), [text]);
}

export function LinesInput({ signature, onQuestion }: Props) {
  const { t } = useTranslation("endpoints");
  const [text, setText] = useState("");
  const lines = text.split("\n").filter((line) => line.trim());
  useTold(lines.length ? questionOf(signature, lines.map((line) => [line])).question : null, onQuestion);
  return <Textarea label={t("text.label")} description={t("text.help")} value={text} onChange={(event) => setText(event.currentTarget.value)} autosize minRows={4} maxRows={16} />;
}

/** `before`: what was asked in another way, to change by hand. */
export function RawInput({ signature, onQuestion, before }: Props & { before: Question | null }) {
  const { t } = useTranslation("endpoints");
  const [text, setText] = useState(() => compact(before ?? exampleOf(signature)));
  const parsed = parse(text);
  useTold(parsed.question, onQuestion);
  return (
    <div className={classes.stack}>
      <CodeEditor
        label={t("raw.label")}
        value={text}
        onChange={setText}
        language="json"
        height={280}
        errors={parsed.line === null ? [] : [{ line: parsed.line, message: t("raw.problem") }]}
      />
      <div>
        <Button variant="default" leftSection={<IconRestore size={14} />} onClick={() => setText(compact(exampleOf(signature)))}>
          {t("raw.reset")}
        </Button>
      </div>
      {parsed.line !== null && (
        <p className={classes.help} data-bad>
          {t("raw.problem")}
        </p>
      )}
    </div>
  );
}

/** JSON with each tensor's numbers on one line. */
export function compact(question: Question): string {
  const inputs = question.inputs.map((one) => {
    const { data, ...about } = one;
    return `    {\n      ${JSON.stringify(about).slice(1, -1)},\n      "data": ${JSON.stringify(data)}\n    }`;
  });
  return `{\n  "inputs": [\n${inputs.join(",\n")}\n  ]\n}`;
}

function parse(text: string): { question: Question | null; line: number | null } {
  try {
    const found = JSON.parse(text) as { inputs?: unknown } | null;
    if (typeof found === "object" && found && Array.isArray(found.inputs)) return { question: found as Question, line: null };
    return { question: null, line: 1 };
  } catch (error) {
    const position = /position (\d+)/.exec(String(error))?.[1];
    return { question: null, line: position === undefined ? 1 : text.slice(0, Number(position)).split("\n").length };
  }
}
