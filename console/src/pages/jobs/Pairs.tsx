/** A mapping of texts, as rows of name and value. */
import { ActionIcon, Button, Group, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useDraft } from "./useDraft";

type Row = [name: string, value: string];

const rowsOf = (said: unknown): Row[] =>
  typeof said === "object" && said !== null ? Object.entries(said).map(([name, value]) => [name, value === null ? "" : String(value)]) : [];
const mappingOf = (rows: Row[]) => Object.fromEntries(rows.filter(([name]) => name !== ""));

export function Pairs({ field, label, add }: { field: "env" | "tags"; label: string; add: string }) {
  const { t } = useTranslation("jobs");
  const { draft, set, error } = useDraft();
  const said = rowsOf(draft.get(field));
  const [rows, setRows] = useState(said);
  // Rows that are half written are here only; what the YAML says otherwise wins.
  if (JSON.stringify(mappingOf(rows)) !== JSON.stringify(mappingOf(said))) setRows(said);
  const write = (next: Row[]) => {
    setRows(next);
    set([field], mappingOf(next));
  };
  const put = (index: number, row: Row) => write(rows.map((one, i) => (i === index ? row : one)));
  return (
    <div role="group" aria-label={label}>
      {rows.map(([name, value], index) => (
        <Group key={index} gap="xs" wrap="nowrap" align="flex-start" mb={4}>
          <TextInput
            aria-label={t("form.pairName", { number: index + 1 })}
            placeholder={t("common:name")}
            value={name}
            onChange={(event) => put(index, [event.currentTarget.value, value])}
            error={name ? error(`${field}.${name}`) : undefined}
            style={{ flex: 2 }}
          />
          <TextInput
            aria-label={t("form.pairValue", { number: index + 1 })}
            placeholder={t("form.value")}
            value={value}
            onChange={(event) => put(index, [name, event.currentTarget.value])}
            style={{ flex: 3 }}
          />
          <ActionIcon aria-label={t("form.removePair", { name: name || index + 1 })} onClick={() => write(rows.filter((_, i) => i !== index))}>
            <IconTrash size={14} />
          </ActionIcon>
        </Group>
      ))}
      <Button variant="default" leftSection={<IconPlus size={14} />} onClick={() => setRows([...rows, ["", ""]])}>
        {add}
      </Button>
    </div>
  );
}
