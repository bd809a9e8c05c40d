/** The screen of a terminal: xterm.js, coloured by the tokens. Only `TerminalTab` imports it, lazily. */
import "@xterm/xterm/css/xterm.css";
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { useEffect, useRef } from "react";
import type { Problem } from "@/api/client";
import { useIsDark } from "@/app/useIsDark";
import classes from "./instances.module.css";
import { type LinkState, TerminalLink, terminalUrl } from "./terminalLink";
import { themeOf } from "./terminalTheme";

interface Props {
  project: string;
  instance: string;
  terminal: string;
  label: string;
  onState: (state: LinkState) => void;
  onNames: (names: string[]) => void;
  onExit: (code: number | null) => void;
  onRefused: (problem: Problem) => void;
}

/** Answers to questions in what is shown once more must not be typed once more. */
const REPLAY_MS = 1000;

export default function TerminalView(props: Props) {
  const { project, instance, terminal, label } = props;
  const place = useRef<HTMLDivElement>(null);
  const screen = useRef<Terminal | null>(null);
  const told = useRef(props);
  useEffect(() => {
    told.current = props;
  });
  const dark = useIsDark();

  useEffect(() => {
    const made = new Terminal({
      cursorBlink: !window.matchMedia("(prefers-reduced-motion: reduce)").matches,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--n-mono"),
      fontSize: 13,
      lineHeight: 1.2,
      scrollback: 10_000,
      minimumContrastRatio: 4.5,
      screenReaderMode: false,
    });
    const fit = new FitAddon();
    made.loadAddon(fit);
    made.open(place.current!);
    screen.current = made;
    let quiet: ReturnType<typeof setTimeout> | null = null;
    const loud = () => {
      if (quiet) clearTimeout(quiet);
      quiet = null;
    };
    const link = new TerminalLink((name) => terminalUrl(project, instance, name), terminal, {
      onState: (state) => {
        made.options.disableStdin = state === "ended" || state === "refused";
        told.current.onState(state);
      },
      onReady: (_name, resumed, names) => {
        if (resumed) {
          made.reset();
          quiet = setTimeout(loud, REPLAY_MS);
        }
        told.current.onNames(names);
        made.focus();
      },
      onData: (data) => made.write(data, () => quiet && loud()),
      onExit: (code) => told.current.onExit(code),
      onRefused: (problem) => told.current.onRefused(problem),
    });
    made.onData((text) => quiet || link.type(text));
    made.onBinary((text) => quiet || link.typeBinary(text));
    made.onResize(({ rows, cols }) => link.resize(rows, cols));
    made.attachCustomKeyEventHandler((event) => {
      // Tab is the shell's: this is the keyboard's way out.
      if (event.type === "keydown" && event.key === "Enter" && event.ctrlKey && event.shiftKey) {
        place.current?.focus();
        return false;
      }
      // Ctrl+Shift+C copies; Ctrl+C is the shell's.
      if (event.type === "keydown" && event.ctrlKey && event.shiftKey && event.code === "KeyC" && made.hasSelection()) {
        void navigator.clipboard.writeText(made.getSelection());
        event.preventDefault();
        return false;
      }
      return true;
    });
    const refit = () => {
      if (place.current?.clientWidth) fit.fit();
    };
    const watch = new ResizeObserver(refit);
    watch.observe(place.current!);
    refit();
    link.resize(made.rows, made.cols);
    link.start();
    return () => {
      watch.disconnect();
      loud();
      link.stop();
      made.dispose();
      screen.current = null;
    };
  }, [project, instance, terminal]);

  useEffect(() => {
    if (screen.current) screen.current.options.theme = themeOf(dark);
  }, [dark, project, instance, terminal]);

  useEffect(() => {
    screen.current?.textarea?.setAttribute("aria-label", label);
  }, [label, terminal]);

  return <div ref={place} className={classes.screen} tabIndex={-1} />;
}
