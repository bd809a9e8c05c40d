/** The filter of the table, in the server's grammar, with names to choose from. An error shows where it is. */
import { CloseButton, Combobox, TextInput, useCombobox } from "@mantine/core";
import { IconFilter } from "@tabler/icons-react";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Problem } from "@/api/client";
import { complete, tokenAt } from "./completion";
import classes from "./FilterBox.module.css";

interface Props {
  value: string;
  onChange: (value: string) => void;
  /** What can be named: `metrics.loss`, `params.lr`, `attributes.status`. */
  names: string[];
  /** What the server said of the filter. */
  error: unknown;
}

export function FilterBox({ value, onChange, names, error }: Props) {
  const { t } = useTranslation("runs");
  const input = useRef<HTMLInputElement>(null);
  const [draft, setDraft] = useState(value);
  const [cursor, setCursor] = useState(value.length);
  const combobox = useCombobox({ onDropdownClose: () => combobox.resetSelectedOption() });
  const [before, setBefore] = useState(value);
  if (before !== value) {
    setBefore(value);
    setDraft(value);
  }
  const token = tokenAt(draft, cursor);
  const found = token?.text ? complete(token.text, names) : [];
  const wrong = error instanceof Problem && error.status === 422 && draft === value && value !== "" ? error : null;

  const take = (name: string) => {
    if (!token) return;
    const after = `${draft.slice(0, token.start)}${name} ${draft.slice(cursor).trimStart()}`;
    setDraft(after);
    setCursor(token.start + name.length + 1);
    combobox.closeDropdown();
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(token.start + name.length + 1, token.start + name.length + 1);
    });
  };
  return (
    <div className={classes.box}>
      <Combobox store={combobox} onOptionSubmit={take} shadow="none">
        <Combobox.Target>
          <TextInput
            ref={input}
            value={draft}
            aria-label={t("filter.label")}
            placeholder={t("filter.placeholder")}
            classNames={{ input: classes.input! }}
            error={wrong !== null}
            spellCheck={false}
            autoComplete="off"
            leftSection={<IconFilter size={14} />}
            rightSection={draft ? <CloseButton size="sm" onClick={() => (setDraft(""), onChange(""))} aria-label={t("filter.clear")} /> : null}
            onChange={(event) => {
              setDraft(event.currentTarget.value);
              setCursor(event.currentTarget.selectionStart ?? event.currentTarget.value.length);
              combobox.openDropdown();
              combobox.resetSelectedOption();
            }}
            onSelect={(event) => setCursor(event.currentTarget.selectionStart ?? 0)}
            onKeyDown={(event) => {
              if (event.key === "Enter" && combobox.getSelectedOptionIndex() < 0) {
                combobox.closeDropdown();
                onChange(draft.trim());
              }
            }}
            onBlur={() => {
              combobox.closeDropdown();
              if (draft.trim() !== value) onChange(draft.trim());
            }}
          />
        </Combobox.Target>
        <Combobox.Dropdown hidden={found.length === 0}>
          <Combobox.Options>
            {found.map((name) => (
              <Combobox.Option key={name} value={name} className="n-mono">
                {name}
              </Combobox.Option>
            ))}
          </Combobox.Options>
        </Combobox.Dropdown>
      </Combobox>
      {wrong && <Wrong text={value} problem={wrong} />}
    </div>
  );
}

/** The filter as the server read it, and where it could not go on. */
function Wrong({ text, problem }: { text: string; problem: Problem }) {
  const { t } = useTranslation("runs");
  const extra = (problem.extra.extra ?? {}) as { at?: number };
  const at = extra.at ?? null;
  const why = /: ([^:]+?), (?:at character|at its end)/.exec(problem.detail)?.[1] ?? problem.detail;
  return (
    <div role="alert" className={classes.wrong}>
      {at !== null && (
        <code className={classes.code}>
          {text.slice(0, at)}
          <mark>{text.slice(at) || "␣"}</mark>
        </code>
      )}
      <span>{at === null ? why : t("filter.wrong", { place: at + 1, why })}</span>
    </div>
  );
}
