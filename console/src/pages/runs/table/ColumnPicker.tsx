/** Which columns the table has, in which order, and which of them stay at the left. */
import { ActionIcon, Button, Checkbox, Group, Popover, ScrollArea, Stack, Text, TextInput } from "@mantine/core";
import { IconArrowDown, IconArrowUp, IconColumns3, IconPin, IconPinFilled, IconX } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { matcher } from "../charts/sections";
import { ATTRIBUTES, parseColumn, type RunColumn } from "./columns";

interface Props {
  columns: RunColumn[];
  onChange: (columns: RunColumn[]) => void;
  /** Ids of every column that there is. */
  known: string[];
  /** Back to what is shown at first. */
  onReset: () => void;
}

const MOST_LISTED = 200;

export function ColumnPicker({ columns, onChange, known, onReset }: Props) {
  const { t } = useTranslation("runs");
  return (
    <Popover position="bottom-start" width={340} withinPortal trapFocus>
      <Popover.Target>
        <Button variant="default" leftSection={<IconColumns3 size={14} />}>
          {t("columns.title")}
        </Button>
      </Popover.Target>
      <Popover.Dropdown p="sm">
        <Picker {...{ columns, onChange, known, onReset }} />
      </Popover.Dropdown>
    </Popover>
  );
}

function Picker({ columns, onChange, known, onReset }: Props) {
  const { t } = useTranslation("runs");
  const [find, setFind] = useState("");
  const there = useMemo(() => new Set(columns.map((one) => one.id)), [columns]);
  const all = [...Object.keys(ATTRIBUTES).map((name) => `attributes.${name}`), ...known];
  const fitting = all.filter(matcher(find)).filter((id) => !there.has(id));
  const wordOf = (id: string) => (id.startsWith("attributes.") ? t(`attributes.${id.slice(11)}`) : id);
  const move = (at: number, by: number) => {
    const after = [...columns];
    const [one] = after.splice(at, 1);
    after.splice(at + by, 0, one!);
    onChange(after);
  };
  return (
    <Stack gap="sm">
      <TextInput value={find} onChange={(event) => setFind(event.currentTarget.value)} placeholder={t("columns.find")} aria-label={t("columns.find")} data-autofocus />
      <ScrollArea.Autosize mah={380} type="auto">
        <Stack gap={2} pr="sm">
          {columns.filter((one) => matcher(find)(one.id)).map((column) => {
            const at = columns.indexOf(column);
            const label = wordOf(column.id);
            const same = (other: RunColumn | undefined) => other?.pinned === column.pinned;
            return (
              <Group key={column.id} gap={2} wrap="nowrap">
                <Text size="sm" truncate flex={1} title={column.id}>
                  {label}
                </Text>
                <ActionIcon size="sm" disabled={!same(columns[at - 1])} onClick={() => move(at, -1)} aria-label={t("columns.up", { column: label })}>
                  <IconArrowUp size={14} />
                </ActionIcon>
                <ActionIcon size="sm" disabled={!same(columns[at + 1])} onClick={() => move(at, 1)} aria-label={t("columns.down", { column: label })}>
                  <IconArrowDown size={14} />
                </ActionIcon>
                <ActionIcon
                  size="sm"
                  aria-pressed={column.pinned}
                  onClick={() => onChange(columns.map((one) => (one === column ? { ...one, pinned: !one.pinned } : one)))}
                  aria-label={column.pinned ? t("columns.unpin", { column: label }) : t("columns.pin", { column: label })}
                >
                  {column.pinned ? <IconPinFilled size={14} /> : <IconPin size={14} />}
                </ActionIcon>
                <ActionIcon size="sm" onClick={() => onChange(columns.filter((one) => one !== column))} aria-label={t("columns.remove", { column: label })}>
                  <IconX size={14} />
                </ActionIcon>
              </Group>
            );
          })}
          {fitting.slice(0, MOST_LISTED).map((id) => (
            <Checkbox key={id} py={3} checked={false} onChange={() => onChange([...columns, parseColumn(id)!])} label={wordOf(id)} title={id} />
          ))}
          {fitting.length > MOST_LISTED && (
            <Text size="xs" c="dimmed">
              {t("columns.further", { count: fitting.length - MOST_LISTED })}
            </Text>
          )}
        </Stack>
      </ScrollArea.Autosize>
      <Button variant="default" onClick={onReset}>
        {t("columns.reset")}
      </Button>
    </Stack>
  );
}
