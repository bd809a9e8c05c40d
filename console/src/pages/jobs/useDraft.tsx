/** The draft for the parts of the form, and what the server says of it. */
import { createContext, useContext } from "react";
import type { Draft, FieldError, Path } from "./draft";

export interface DraftState {
  draft: Draft;
  set: (path: Path, value: unknown) => void;
  errors: FieldError[];
}

/** Fields side by side have their notes below them, so that the fields are in one line. */
export const BELOW: ("label" | "input" | "description" | "error")[] = ["label", "input", "description", "error"];

export const DraftContext = createContext<DraftState | null>(null);

/** The draft, how to change it, and the error of a field: its own, or of something in it. */
export function useDraft() {
  const found = useContext(DraftContext);
  if (!found) throw new Error("useDraft outside of the form");
  const { draft, set, errors } = found;
  const error = (field: string) => errors.find((one) => one.field === field || one.field.startsWith(`${field}.`))?.message;
  return { draft, set, error };
}
