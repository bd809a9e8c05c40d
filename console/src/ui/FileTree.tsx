/** Files as a tree: folders open and close, a hundred thousand files are drawn as far as they are seen. */
import { TextInput } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { IconChevronDown, IconChevronRight, IconFile, IconFolder, IconFolderOpen, IconSearch } from "@tabler/icons-react";
import { type KeyboardEvent, useDeferredValue, useEffect, useId, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import classes from "./FileTree.module.css";
import { above, allFolders, type FileOf, matching, openAtFirst, type Row, rowsOf, treeOf } from "./fileRows";
import { bytes } from "./format";

interface Props {
  files: FileOf[];
  /** Path of the chosen file. */
  selected: string | null;
  onSelect: (path: string) => void;
  /** What the tree is, for screen readers. */
  label?: string;
  /** The most px that it takes. */
  height?: number;
}

const ROW = 28;
const SEARCH_FROM = 12;

export function FileTree({ files, selected, onSelect, label, height = 560 }: Props) {
  const { t } = useTranslation("preview");
  const [text, setText] = useState("");
  const searched = useDeferredValue(text);
  const root = useMemo(() => treeOf(matching(files, searched)), [files, searched]);
  const [chosenOpen, setChosenOpen] = useState<Set<string> | null>(null);
  const atFirst = useMemo(() => openAtFirst(treeOf(files), selected), [files, selected]);
  const open = useMemo(() => (searched ? allFolders(root) : (chosenOpen ?? atFirst)), [searched, root, chosenOpen, atFirst]);
  const rows = useMemo(() => rowsOf(root, open), [root, open]);
  const toggle = (path: string, wanted?: boolean) => {
    const next = new Set(open);
    if (wanted ?? !next.has(path)) next.add(path);
    else next.delete(path);
    setChosenOpen(next);
  };
  return (
    <div className={classes.box}>
      {files.length > SEARCH_FROM && (
        <TextInput
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          placeholder={t("tree.search")}
          aria-label={t("tree.search")}
          leftSection={<IconSearch size={14} aria-hidden />}
          mb={8}
        />
      )}
      {rows.length === 0 ? (
        <p className={classes.none}>{t("tree.none")}</p>
      ) : (
        <Rows {...{ rows, selected, onSelect, toggle, height }} label={label ?? t("tree.label")} />
      )}
    </div>
  );
}

interface RowsProps {
  rows: Row[];
  selected: string | null;
  onSelect: (path: string) => void;
  toggle: (path: string, wanted?: boolean) => void;
  label: string;
  height: number;
}

function Rows({ rows, selected, onSelect, toggle, label, height }: RowsProps) {
  const { t } = useTranslation("preview");
  const id = useId();
  const scroller = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState<string | null>(null);
  // eslint-disable-next-line react-hooks/incompatible-library -- the compiler leaves this component alone
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: 10,
  });
  const at = Math.max(0, rows.findIndex((row) => row.path === (active ?? selected)));
  const shownFirst = useRef(false);
  useEffect(() => {
    if (shownFirst.current || !selected) return;
    shownFirst.current = true;
    virtualizer.scrollToIndex(at);
  }, [selected, at, virtualizer]);

  const go = (index: number) => {
    const row = rows[Math.min(rows.length - 1, Math.max(0, index))]!;
    setActive(row.path);
    virtualizer.scrollToIndex(rows.indexOf(row));
    if (!row.folder) onSelect(row.path);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const row = rows[at]!;
    const page = Math.floor(height / ROW) - 1;
    const keys: Record<string, () => void> = {
      ArrowDown: () => go(at + 1),
      ArrowUp: () => go(at - 1),
      PageDown: () => go(at + page),
      PageUp: () => go(at - page),
      Home: () => go(0),
      End: () => go(rows.length - 1),
      ArrowRight: () => (row.folder && !row.open ? toggle(row.path, true) : row.folder && go(at + 1)),
      ArrowLeft: () => {
        const parent = above(row.path).at(-1);
        if (row.folder && row.open) toggle(row.path, false);
        else if (parent !== undefined) go(rows.findIndex((one) => one.path === parent));
      },
      Enter: () => (row.folder ? toggle(row.path) : onSelect(row.path)),
      " ": () => (row.folder ? toggle(row.path) : onSelect(row.path)),
    };
    const act = keys[event.key];
    if (!act || event.metaKey || event.ctrlKey || event.altKey) return;
    event.preventDefault();
    act();
  };
  const items = virtualizer.getVirtualItems();
  return (
    <div
      ref={scroller}
      className={classes.scroller}
      style={{ height: Math.min(height, rows.length * ROW + 8) }}
      role="tree"
      aria-label={label}
      tabIndex={0}
      aria-activedescendant={items.some((item) => item.index === at) ? `${id}-${String(at)}` : undefined}
      onKeyDown={onKeyDown}
    >
      <div role="presentation" style={{ height: virtualizer.getTotalSize(), position: "relative" }}>
        {items.map(({ index, start }) => {
          const row = rows[index]!;
          return (
            // The keys of the whole tree are heard by the tree.
            // eslint-disable-next-line jsx-a11y/click-events-have-key-events
            <div
              key={row.path}
              id={`${id}-${String(index)}`}
              className={classes.row}
              role="treeitem"
              tabIndex={-1}
              aria-level={row.level}
              aria-setsize={row.siblings}
              aria-posinset={row.place}
              aria-expanded={row.folder ? row.open : undefined}
              aria-selected={row.path === selected}
              data-active={index === at || undefined}
              title={row.path}
              style={{ transform: `translateY(${String(start)}px)`, height: ROW, paddingLeft: 4 + 16 * (row.level - 1) }}
              onClick={() => {
                setActive(row.path);
                if (row.folder) toggle(row.path);
                else onSelect(row.path);
              }}
            >
              <Mark row={row} />
              <span className={classes.name}>{row.name}</span>
              <span className={classes.size}>
                {row.folder ? t("tree.inside", { count: row.count, size: bytes(row.size) }) : bytes(row.size)}
              </span>
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Mark({ row }: { row: Row }) {
  if (!row.folder) return <IconFile className={classes.file} size={14} aria-hidden />;
  const Chevron = row.open ? IconChevronDown : IconChevronRight;
  const Icon = row.open ? IconFolderOpen : IconFolder;
  return (
    <>
      <Chevron size={12} aria-hidden />
      <Icon size={14} aria-hidden />
    </>
  );
}
