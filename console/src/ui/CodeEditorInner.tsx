/** The editor itself: CodeMirror 6, coloured by the tokens. Only `CodeEditor` imports it, lazily. */
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import type { CodeEditorProps, EditorError } from "./CodeEditor";

const languages: Record<NonNullable<CodeEditorProps["language"]>, () => Promise<Extension>> = {
  yaml: async () => [(await import("@codemirror/lang-yaml")).yaml(), indentUnit.of("  ")],
  json: async () => [(await import("@codemirror/lang-json")).json(), indentUnit.of("  ")],
  python: async () => [(await import("@codemirror/lang-python")).python(), indentUnit.of("    ")],
  text: async () => [],
};

const colours = HighlightStyle.define([
  { tag: [tags.comment, tags.meta], color: "var(--n-text-soft)", fontStyle: "italic" },
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: "var(--n-busy)" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--n-accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--n-good)" },
  { tag: [tags.number, tags.bool, tags.null, tags.atom], color: "var(--n-warn)" },
  { tag: [tags.function(tags.variableName), tags.definition(tags.variableName), tags.className], color: "var(--n-accent)" },
  { tag: tags.invalid, color: "var(--n-bad)" },
]);

function look(height: number | undefined): Extension {
  const size: Record<string, string> =
    height === undefined ? { minHeight: "120px", maxHeight: "640px" } : { height: `${height}px` };
  return EditorView.theme({
    "&": {
      ...size,
      border: "1px solid var(--n-border)",
      borderRadius: "6px",
      backgroundColor: "var(--n-bg)",
      color: "var(--n-text)",
      fontSize: "12.5px",
    },
    "&.cm-focused": { outline: "2px solid var(--n-accent)", outlineOffset: "1px" },
    ".cm-scroller": { fontFamily: "var(--n-mono)", lineHeight: "1.55", overflow: "auto" },
    ".cm-content": { caretColor: "var(--n-text)", padding: "8px 0" },
    ".cm-cursor": { borderLeftColor: "var(--n-text)" },
    ".cm-gutters": {
      backgroundColor: "var(--n-bg-soft)",
      color: "var(--n-text-soft)",
      borderRight: "1px solid var(--n-border)",
      borderRadius: "6px 0 0 6px",
    },
    ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--n-bg-hover) 55%, transparent)" },
    ".cm-activeLineGutter": { backgroundColor: "var(--n-bg-hover)" },
    "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
      backgroundColor: "color-mix(in srgb, var(--n-accent) 28%, transparent)",
    },
    ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--n-accent) 16%, transparent)" },
    ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": {
      backgroundColor: "transparent",
      outline: "1px solid var(--n-accent)",
    },
    ".cm-lintRange-error": {
      backgroundImage: "none",
      textDecoration: "underline wavy var(--n-bad) 1px",
      textUnderlineOffset: "3px",
    },
    ".cm-lint-marker-error": {
      content: "none",
      width: "8px",
      height: "8px",
      margin: "4px 3px",
      borderRadius: "50%",
      backgroundColor: "var(--n-bad)",
    },
    ".cm-gutter-lint": { width: "14px" },
    ".cm-tooltip": {
      border: "1px solid var(--n-border)",
      borderRadius: "4px",
      backgroundColor: "var(--n-bg)",
      color: "var(--n-text)",
      fontFamily: "var(--n-font)",
      fontSize: "13px",
      maxWidth: "480px",
    },
    ".cm-diagnostic-error": { borderLeft: "3px solid var(--n-bad)" },
    ".cm-panels": { backgroundColor: "var(--n-bg-soft)", color: "var(--n-text)", borderColor: "var(--n-border)" },
    ".cm-panel input, .cm-panel button": {
      backgroundImage: "none",
      backgroundColor: "var(--n-bg)",
      color: "var(--n-text)",
      border: "1px solid var(--n-border)",
      borderRadius: "4px",
    },
  });
}

function diagnostics(state: EditorState, errors: EditorError[]): Diagnostic[] {
  return errors.map(({ line, message }) => {
    const at = state.doc.line(Math.min(Math.max(1, line), state.doc.lines));
    const indent = at.text.length - at.text.trimStart().length;
    return { from: at.from + indent, to: Math.max(at.to, at.from + indent), severity: "error", message };
  });
}

export default function CodeEditorInner({ label, value, onChange, language = "text", readOnly, height, errors }: CodeEditorProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const changed = useRef(onChange);
  const switches = useRef({ language: new Compartment(), locked: new Compartment(), look: new Compartment(), label: new Compartment() });
  useEffect(() => {
    changed.current = onChange;
  });

  useEffect(() => {
    const { language: speaking, locked, look: looking, label: named } = switches.current;
    const made = new EditorView({
      parent: place.current!,
      state: EditorState.create({
        doc: value,
        extensions: [
          lineNumbers(),
          lintGutter(),
          history(),
          drawSelection(),
          bracketMatching(),
          indentOnInput(),
          highlightActiveLine(),
          highlightActiveLineGutter(),
          highlightSelectionMatches(),
          syntaxHighlighting(colours),
          // Escape, then Tab, leaves the editor: CodeMirror's own way out of its Tab key.
          keymap.of([...defaultKeymap, ...searchKeymap, ...historyKeymap, indentWithTab]),
          EditorView.updateListener.of((update) => {
            if (update.docChanged && !update.transactions.some((one) => one.isUserEvent("sync")))
              changed.current?.(update.state.doc.toString());
          }),
          speaking.of([]),
          locked.of([]),
          looking.of([]),
          named.of([]),
        ],
      }),
    });
    view.current = made;
    return () => {
      made.destroy();
      view.current = null;
    };
    // The editor is made once; what changes later is told to it below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);

  useEffect(() => {
    let wanted = true;
    void languages[language]().then((found) => {
      if (wanted) view.current?.dispatch({ effects: switches.current.language.reconfigure(found) });
    });
    return () => {
      wanted = false;
    };
  }, [language]);

  useEffect(() => {
    view.current?.dispatch({
      effects: [
        switches.current.locked.reconfigure([EditorState.readOnly.of(readOnly ?? false)]),
        switches.current.look.reconfigure(look(height)),
        switches.current.label.reconfigure(EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" })),
      ],
    });
  }, [readOnly, height, label]);

  useEffect(() => {
    const made = view.current;
    const text = made?.state.doc.toString();
    if (!made || text === value) return;
    // Only what differs, so that the cursor stays where it is.
    let from = 0;
    while (from < text!.length && from < value.length && text![from] === value[from]) from += 1;
    let back = 0;
    while (back < text!.length - from && back < value.length - from && text!.at(-1 - back) === value.at(-1 - back)) back += 1;
    made.dispatch({ changes: { from, to: text!.length - back, insert: value.slice(from, value.length - back) }, userEvent: "sync" });
  }, [value]);

  const wrong = JSON.stringify(errors ?? []);
  useEffect(() => {
    const made = view.current;
    if (made) made.dispatch(setDiagnostics(made.state, diagnostics(made.state, JSON.parse(wrong) as EditorError[])));
  }, [wrong, value]);

  return <div ref={place} style={{ minWidth: 0 }} />;
}
