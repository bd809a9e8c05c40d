/** Tags: shown as pills, and edited as `key=value`. */
import { ActionIcon, Group, TextInput } from "@mantine/core";
import { IconPlus, IconX } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import classes from "./models.module.css";

export type Tags = Record<string, string>;

export function TagPills({ tags }: { tags: Tags }) {
  const entries = Object.entries(tags);
  if (!entries.length) return null;
  return (
    <span className={classes.pills} style={{ flexWrap: "wrap" }}>
      {entries.map(([key, value]) => (
        <span key={key} className={classes.pill}>
          <span className="n-soft">{key}</span> {value}
        </span>
      ))}
    </span>
  );
}

/** What has to be told to the server so that `before` becomes `after`: null removes. */
export function tagChange(before: Tags, after: Tags): Record<string, string | null> {
  const change: Record<string, string | null> = {};
  for (const key of Object.keys(before)) if (!(key in after)) change[key] = null;
  for (const [key, value] of Object.entries(after)) if (before[key] !== value) change[key] = value;
  return change;
}

/** `key=value` → both; null where it is neither. */
export function parseTag(text: string): [string, string] | null {
  const at = text.indexOf("=");
  const key = text.slice(0, at).trim();
  return at > 0 && key ? [key, text.slice(at + 1).trim()] : null;
}

export function TagsEditor({ tags, onChange }: { tags: Tags; onChange: (tags: Tags) => void }) {
  const { t } = useTranslation("models");
  const [text, setText] = useState("");
  const parsed = parseTag(text);
  const add = () => {
    if (!parsed) return;
    onChange({ ...tags, [parsed[0]]: parsed[1] });
    setText("");
  };
  return (
    <div>
      <Group gap={4} mb={Object.keys(tags).length ? 8 : 0}>
        {Object.entries(tags).map(([key, value]) => (
          <span key={key} className={classes.pill}>
            <span className="n-soft">{key}</span> {value}
            <button
              type="button"
              aria-label={t("tags.remove", { key })}
              onClick={() => onChange(Object.fromEntries(Object.entries(tags).filter(([other]) => other !== key)))}
            >
              <IconX size={12} />
            </button>
          </span>
        ))}
      </Group>
      <TextInput
        label={t("tags.title")}
        placeholder={t("tags.example")}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || !text) return;
          event.preventDefault();
          add();
        }}
        rightSection={
          <ActionIcon size="sm" aria-label={t("tags.add")} disabled={!parsed} onClick={add}>
            <IconPlus size={14} />
          </ActionIcon>
        }
      />
    </div>
  );
}
