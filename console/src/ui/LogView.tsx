/** A log as a terminal would show it: live, a hundred thousand lines, searched, with lines that have addresses. */
import { ActionIcon, Group, Switch, TextInput, Tooltip } from "@mantine/core";
import { useClipboard, useDebouncedValue, useViewportSize } from "@mantine/hooks";
import { IconArrowDown, IconArrowUp, IconCheck, IconCopy, IconDownload, IconTextWrap } from "@tabler/icons-react";
import { type KeyboardEvent, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { useTranslation } from "react-i18next";
import { Failure } from "./Failure";
import classes from "./LogView.module.css";
import { LogFeed, type LogSource, logPath } from "./LogViewFeed";
import { LogRow } from "./LogViewRow";
import { useRows } from "./LogViewRows";
import { LogSearch, type Match, MOST_MATCHES } from "./LogViewSearch";
import { useUrlState } from "./useUrlState";

interface Props {
  project: string;
  source: LogSource;
  /** Whether more may come. */
  live?: boolean;
  /** The most px that the lines take; without it, what the window has. */
  height?: number;
}

const LOWEST = 320;
/** What stands above a log on most pages. */
const ABOVE = 330;

export function LogView(props: Props) {
  const { project, source } = props;
  return <Log key={`${project}/${source.kind}/${source.name}/${source.replica ?? 0}`} {...props} />;
}

function useFeed(project: string, { kind, name, replica }: LogSource, isLive: boolean): LogFeed {
  // Once live, always: that no more comes is told by the log's own end, which is later than the thing's.
  const [started, setStarted] = useState(isLive);
  if (isLive && !started) setStarted(true);
  const [feed, setFeed] = useState(() => new LogFeed(project, { kind, name, replica }, started));
  useEffect(() => {
    const made = new LogFeed(project, { kind, name, replica }, started);
    setFeed(made); // eslint-disable-line react-hooks/set-state-in-effect -- a feed lives as long as its effect
    made.start();
    return () => made.stop();
  }, [project, kind, name, replica, started]);
  useSyncExternalStore(feed.listen, () => feed.version);
  return feed;
}

function Log({ project, source, live = false, height: most }: Props) {
  const { t } = useTranslation("logs");
  const feed = useFeed(project, source, live);
  const { buffer } = feed;
  const count = buffer.length;
  const { height: tall } = useViewportSize();
  const height = most ?? Math.max(LOWEST, (tall || window.innerHeight) - ABOVE);
  const [wanted, setWanted] = useUrlState("line");
  const [wrap, setWrap] = useState(() => window.innerWidth < 600);
  const [follow, setFollow] = useState(live && !wanted);
  const scroller = useRef<HTMLDivElement>(null);
  const lastTop = useRef(0);
  const search = useRef<HTMLInputElement>(null);
  const rows = useRows(scroller, count, wrap, height);
  const find = useFind(feed);
  const lineOf = (index: number) => index + 1 + buffer.dropped;
  const selected = wanted ? Number(wanted) : null;

  // Where the address points, as soon as that line is there; once.
  const shown = useRef(false);
  useEffect(() => {
    if (shown.current || selected === null) return;
    const index = selected - 1 - buffer.dropped;
    if (index < 0 || index >= count) return;
    shown.current = true;
    rows.scrollTo(index);
  });

  useLayoutEffect(() => {
    if (follow) rows.toEnd();
  });

  const goTo = (match: Match | undefined) => {
    if (!match) return;
    setFollow(false);
    rows.scrollTo(match.line);
  };
  const onKey = (event: KeyboardEvent) => {
    if ((event.metaKey || event.ctrlKey) && event.key === "f") {
      event.preventDefault();
      search.current?.focus();
      search.current?.select();
    }
  };

  const select = useCallback((line: number) => setWanted(String(line)), [setWanted]);
  if (feed.error) return <Failure error={feed.error} />;
  const gutter = `${Math.max(3, String(lineOf(count)).length) + 1}ch`;
  const file = source.replica ? `${source.name}-${source.replica}.log` : `${source.name}.log`;
  return (
    // The keys of the whole view; what is inside is reachable by itself.
    // eslint-disable-next-line jsx-a11y/no-static-element-interactions
    <div className={classes.view} onKeyDown={onKey} data-ended={feed.ended || undefined}>
      <Group gap="sm" className={classes.bar} wrap="wrap">
        <Finder field={search} find={find} goTo={goTo} />
        <span className={classes.facts}>
          {feed.loading ? t("loading") : t("lines", { count: count + buffer.dropped, formatted: (count + buffer.dropped).toLocaleString() })}
          {live && !feed.ended && !feed.loading && <span className={classes.live}>{t("live")}</span>}
        </span>
        <Group gap="xs" ml="auto" wrap="nowrap">
          {!feed.ended && (
            <Switch
              label={t("follow")}
              checked={follow}
              onChange={(event) => {
                setFollow(event.currentTarget.checked);
                if (event.currentTarget.checked) rows.toEnd();
              }}
            />
          )}
          <Tooltip label={t("wrap")}>
            <ActionIcon aria-label={t("wrap")} aria-pressed={wrap} variant={wrap ? "light" : "subtle"} onClick={() => setWrap(!wrap)}>
              <IconTextWrap size={16} />
            </ActionIcon>
          </Tooltip>
          <CopyAll text={() => buffer.plain()} />
          <Tooltip label={t("download")}>
            <ActionIcon component="a" href={logPath(project, source)} download={file} aria-label={t("download")}>
              <IconDownload size={16} />
            </ActionIcon>
          </Tooltip>
        </Group>
      </Group>
      <div
        ref={scroller}
        className={classes.scroller}
        style={{ height: feed.ended ? Math.min(height, Math.max(96, rows.total + 24)) : height, "--gutter": gutter } as React.CSSProperties}
        data-wrap={wrap || undefined}
        // A region that scrolls has to be reachable by keys.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        role="region"
        aria-label={t("label", { name: source.name })}
        onScroll={(event) => {
          rows.onScroll();
          const { scrollTop, clientHeight, scrollHeight } = event.currentTarget;
          if (scrollTop + clientHeight >= scrollHeight - 4) setFollow(true);
          else if (scrollTop < lastTop.current - 1) setFollow(false);
          lastTop.current = scrollTop;
        }}
      >
        {buffer.dropped > 0 && rows.first === 0 && <div className={classes.note}>{t("dropped", { count: buffer.dropped, formatted: buffer.dropped.toLocaleString() })}</div>}
        {count === 0 && !feed.loading && <div className={classes.note}>{live && !feed.ended ? t("nothingYet") : t("nothing")}</div>}
        <div className={classes.rows} style={{ height: rows.total }}>
          {rows.items.map(({ index, start }) => (
            <LogRow
              key={index + buffer.dropped}
              index={index}
              start={start}
              line={lineOf(index)}
              text={buffer.text(index)}
              runs={buffer.runs(index)}
              matches={find.of(index)}
              current={find.current?.line === index ? find.current : null}
              selected={selected === lineOf(index)}
              measure={rows.measure}
              select={select}
              name={t("lineName", { line: lineOf(index) })}
              more={t("longer")}
            />
          ))}
        </div>
      </div>
    </div>
  );
}

function CopyAll({ text }: { text: () => string }) {
  const { t } = useTranslation("logs");
  const { copied, copy } = useClipboard();
  return (
    <Tooltip label={copied ? t("common:copied") : t("copy")}>
      <ActionIcon aria-label={t("copy")} onClick={() => copy(text())}>
        {copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
      </ActionIcon>
    </Tooltip>
  );
}

interface Find {
  text: string;
  setText: (text: string) => void;
  total: number;
  /** From 0; -1 where there is none. */
  at: number;
  current: Match | null;
  of: (line: number) => Match[];
  step: (by: number) => Match | undefined;
}

const NONE: Match[] = [];

function useFind(feed: LogFeed): Find {
  const [text, setText] = useState("");
  const [settled] = useDebouncedValue(text, 150);
  // Only a long log makes typing wait.
  const wanted = feed.buffer.length > 20_000 ? settled : text;
  const search = useMemo(() => (wanted ? new LogSearch(feed.buffer, wanted) : null), [feed, wanted]);
  const [at, setAt] = useState(-1);
  search?.update();
  const total = search?.matches.length ?? 0;
  const now = total ? Math.min(at, total - 1) : -1;
  return {
    text,
    setText: (next) => {
      setText(next);
      setAt(-1);
    },
    total,
    at: now,
    current: now < 0 ? null : (search?.matches[now] ?? null),
    of: (line) => search?.of(line) ?? NONE,
    step: (by) => {
      if (!search || !total) return undefined;
      const next = now < 0 ? (by > 0 ? 0 : total - 1) : (now + by + total) % total;
      setAt(next);
      return search.matches[next];
    },
  };
}

function Finder({ field, find, goTo }: {
  field: React.RefObject<HTMLInputElement | null>;
  find: Find;
  goTo: (match: Match | undefined) => void;
}) {
  const { t } = useTranslation("logs");
  const said = !find.text ? "" : find.total ? t("found", { at: find.at + 1, of: find.total >= MOST_MATCHES ? `${MOST_MATCHES}+` : find.total }) : t("foundNothing");
  return (
    <Group gap={4} wrap="nowrap" role="search" className={classes.finder}>
      <TextInput
        ref={field}
        aria-label={t("search")}
        placeholder={t("search")}
        value={find.text}
        onChange={(event) => find.setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter") {
            event.preventDefault();
            goTo(find.step(event.shiftKey ? -1 : 1));
          } else if (event.key === "Escape") find.setText("");
        }}
        rightSection={
          <span className={classes.found} aria-live="polite">
            {said}
          </span>
        }
        rightSectionWidth={said ? 96 : 0}
        rightSectionPointerEvents="none"
        style={{ flex: 1 }}
      />
      <ActionIcon aria-label={t("previous")} disabled={!find.total} onClick={() => goTo(find.step(-1))}>
        <IconArrowUp size={14} />
      </ActionIcon>
      <ActionIcon aria-label={t("next")} disabled={!find.total} onClick={() => goTo(find.step(1))}>
        <IconArrowDown size={14} />
      </ActionIcon>
    </Group>
  );
}
