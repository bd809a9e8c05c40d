/** Rows of features, typed or pasted from a spreadsheet; each row is a sample. */
import { ActionIcon, Button, Group } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { type ClipboardEvent, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import classes from "./Playground.module.css";
import { columnsOf, parsePasted, type Question, questionOf, type Signature } from "./signature";

const MOST_ROWS = 100;

interface Props {
  signature: Signature;
  onQuestion: (question: Question | null) => void;
}

export function FeaturesInput({ signature, onQuestion }: Props) {
  const { t } = useTranslation("endpoints");
  const columns = columnsOf(signature) ?? [];
  const zero = columns.map((column) => (column.tensor.datatype === "BYTES" ? "" : "0"));
  const [rows, setRows] = useState<string[][]>([zero]);
  const { question, problem } = questionOf(signature, rows);
  const told = useRef(onQuestion);
  useEffect(() => {
    told.current = onQuestion;
  });
  const text = JSON.stringify(question);
  useEffect(() => told.current(JSON.parse(text) as Question | null), [text]);
  const set = (row: number, at: number, value: string) =>
    setRows(rows.map((cells, index) => (index === row ? cells.map((cell, place) => (place === at ? value : cell)) : cells)));
  const paste = (event: ClipboardEvent, row: number, at: number) => {
    const pasted = parsePasted(event.clipboardData.getData("text"));
    if (pasted.length < 2 && (pasted[0]?.length ?? 0) < 2) return;
    event.preventDefault();
    const next = rows.map((cells) => [...cells]);
    for (const [down, cells] of pasted.entries()) {
      if (row + down >= MOST_ROWS) break;
      next[row + down] ??= [...zero];
      for (const [across, cell] of cells.entries()) if (at + across < columns.length) next[row + down]![at + across] = cell;
    }
    setRows(next);
  };
  return (
    <div className={classes.stack}>
      <div className={classes.grid}>
        <table aria-label={t("features.label")}>
          <thead>
            <tr>
              <th scope="col">{t("features.sample")}</th>
              {columns.map((column) => (
                <th key={column.name} scope="col" title={column.tensor.datatype}>
                  {column.name}
                </th>
              ))}
              <th scope="col">
                <span className="n-hidden">{t("common:actions")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((cells, row) => (
              <tr key={row}>
                <th scope="row">{row + 1}</th>
                {columns.map((column, at) => (
                  <td key={column.name}>
                    <input
                      aria-label={t("features.cell", { name: column.name, row: row + 1 })}
                      aria-invalid={problem?.row === row && problem.column === column.name}
                      value={cells[at] ?? ""}
                      inputMode={column.tensor.datatype === "BYTES" ? "text" : "decimal"}
                      onChange={(event) => set(row, at, event.currentTarget.value)}
                      onPaste={(event) => paste(event, row, at)}
                    />
                  </td>
                ))}
                <td>
                  <ActionIcon size="sm" aria-label={t("features.remove", { row: row + 1 })} disabled={rows.length === 1} onClick={() => setRows(rows.filter((_, index) => index !== row))}>
                    <IconTrash size={14} />
                  </ActionIcon>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Group gap="sm">
        <Button variant="default" leftSection={<IconPlus size={14} />} disabled={rows.length >= MOST_ROWS} onClick={() => setRows([...rows, [...(rows.at(-1) ?? zero)]])}>
          {t("features.add")}
        </Button>
        <Button variant="default" onClick={() => setRows([zero])}>
          {t("features.reset")}
        </Button>
      </Group>
      <p className={classes.help} data-bad={problem ? true : undefined}>
        {problem ? t("features.problem", { row: problem.row + 1, name: problem.column }) : t("features.help")}
      </p>
    </div>
  );
}
