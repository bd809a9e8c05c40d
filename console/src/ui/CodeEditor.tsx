/** Text with lines, colours and errors at their lines. CodeMirror comes with the first editor that is shown. */
import { Input, Skeleton } from "@mantine/core";
import { lazy, Suspense } from "react";

export interface EditorError {
  /** From 1. */
  line: number;
  message: string;
}

export interface CodeEditorProps {
  /** What the text is; shown above it and told to screen readers. */
  label: string;
  value: string;
  onChange?: (value: string) => void;
  language?: "yaml" | "json" | "python" | "text";
  readOnly?: boolean;
  /** Px; without it as high as its text, 120 px at least and 640 at most. */
  height?: number;
  errors?: EditorError[];
  /** The label is told to screen readers only. */
  bare?: boolean;
}

const Inner = lazy(() => import("./CodeEditorInner"));

export function CodeEditor(props: CodeEditorProps) {
  const editor = (
    <Suspense fallback={<Skeleton height={props.height ?? 120} />}>
      <Inner {...props} />
    </Suspense>
  );
  return props.bare ? editor : (
    <Input.Wrapper label={props.label} labelElement="div">
      {editor}
    </Input.Wrapper>
  );
}
