/** The box of the palette: a combobox over one list. Loaded when it is first opened. */
import { useDebouncedValue } from "@mantine/hooks";
import { IconCornerDownLeft, IconSearch } from "@tabler/icons-react";
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { type Ranked, ranked } from "./fuzzy";
import { type Group, type Item, useItems } from "./items";
import classes from "./Palette.module.css";

/** How many of each group are shown. */
const SHOWN: Record<Group, number> = { recent: 5, things: 12, actions: 8, pages: 8, projects: 5 };

interface Props {
  project: string | null;
  close: () => void;
  showShortcuts: () => void;
}

/** What is shown, group by group: groups in the order of their best item. */
export function grouped(search: string, items: Item[]): { group: Group; rows: Ranked<Item>[] }[] {
  const searching = search.trim() !== "";
  const wanted = searching ? items.filter((item) => item.group !== "recent") : items.filter((item) => item.group !== "things" && item.group !== "projects");
  const groups = new Map<Group, Ranked<Item>[]>();
  for (const row of ranked(search, wanted)) {
    const rows = groups.get(row.item.group) ?? [];
    if (rows.length < SHOWN[row.item.group]) rows.push(row);
    groups.set(row.item.group, rows);
  }
  return [...groups].map(([group, rows]) => ({ group, rows }));
}

export default function PaletteBox({ project, close, showShortcuts }: Props) {
  const { t } = useTranslation(["palette", "nav"]);
  const go = useNavigate();
  const id = useId();
  const [search, setSearch] = useState("");
  const [asked] = useDebouncedValue(search, 200);
  const items = useItems(project, asked, showShortcuts);
  const groups = useMemo(() => grouped(search, items), [search, items]);
  const rows = groups.flatMap(({ rows }) => rows);
  const [chosen, setChosen] = useState<string | null>(null);
  const found = rows.findIndex((row) => row.item.id === chosen);
  const active = Math.max(0, found);
  const list = useRef<HTMLDivElement>(null);
  const input = useRef<HTMLInputElement>(null);

  // It comes after the dialog, which has given the focus to itself by then.
  useEffect(() => {
    // After the dialog has noted where the focus was, to give it back.
    const timer = setTimeout(() => input.current?.focus());
    return () => clearTimeout(timer);
  }, []);

  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [active, search]);

  const choose = (item: Item) => {
    close();
    if (item.to !== undefined) void go(item.to);
    item.act?.();
  };
  const press = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    const moves: Record<string, number> = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + 8, PageUp: active - 8 };
    if (event.key in moves && rows.length) {
      event.preventDefault();
      const next = moves[event.key]!;
      const bounded = event.key.startsWith("Page") ? Math.min(rows.length - 1, Math.max(0, next)) : (next + rows.length) % rows.length;
      setChosen(rows[bounded]!.item.id);
    } else if (event.key === "Enter" && rows[active]) {
      event.preventDefault();
      choose(rows[active].item);
    }
  };

  return (
    <div className={classes.box}>
      <div className={classes.field}>
        <IconSearch size={16} aria-hidden />
        <input
          ref={input}
          className={classes.input}
          role="combobox"
          aria-label={t("nav:search")}
          aria-expanded="true"
          aria-autocomplete="list"
          aria-controls={`${id}-list`}
          aria-activedescendant={rows[active] && `${id}-${active}`}
          placeholder={t("placeholder")}
          value={search}
          onChange={(event) => {
            setSearch(event.currentTarget.value);
            setChosen(null);
          }}
          onKeyDown={press}
          data-autofocus
          autoComplete="off"
          spellCheck={false}
        />
        <kbd className={classes.key}>Esc</kbd>
      </div>
      <div ref={list} id={`${id}-list`} role="listbox" aria-label={t("results")} className={classes.list}>
        {groups.map(({ group, rows: inGroup }) => (
          <div key={group} role="group" aria-label={t(`groups.${group}`)}>
            <div className={classes.group} aria-hidden>
              {t(`groups.${group}`)}
            </div>
            {inGroup.map((row) => {
              const at = rows.indexOf(row);
              return (
                // Its keys are those of the combobox, which has the focus.
                // eslint-disable-next-line jsx-a11y/click-events-have-key-events
                <div
                  key={row.item.id}
                  id={`${id}-${at}`}
                  role="option"
                  aria-selected={at === active}
                  tabIndex={-1}
                  className={classes.option}
                  onMouseMove={() => at !== active && setChosen(row.item.id)}
                  onMouseDown={(event) => event.preventDefault()}
                  onClick={() => choose(row.item)}
                >
                  <row.item.icon size={16} aria-hidden />
                  <span className={classes.label}>
                    <Marked text={row.item.label} marks={row.marks} />
                  </span>
                  {row.item.hint && <span className={classes.hint}>{row.item.hint}</span>}
                  {at === active && <IconCornerDownLeft size={14} className={classes.enter} aria-hidden />}
                </div>
              );
            })}
          </div>
        ))}
      </div>
      {rows.length === 0 && <p className={classes.none}>{t("nothing", { search })}</p>}
      <div className="n-hidden" role="status">
        {t("found", { count: rows.length })}
      </div>
    </div>
  );
}

function Marked({ text, marks }: { text: string; marks: number[] }) {
  if (!marks.length) return text;
  const marked = new Set(marks);
  return Array.from({ length: text.length }, (_, at) => (marked.has(at) ? <mark key={at}>{text[at]}</mark> : text[at]));
}
