/** Ask before something is lost. `const confirm = useConfirm()`; the dialog says what will be lost. */
import { createContext, lazy, type ReactNode, useCallback, useContext, useState } from "react";
import { Late } from "./Late";

const ConfirmDialog = lazy(() => import("./ConfirmDialog"));

export interface Question {
  title: string;
  /** What will be lost, in a sentence or two. */
  lost: ReactNode;
  /** The word on the button: "Delete", "Stop". */
  action: string;
  /** The word for not doing it, where "Cancel" would be unclear. */
  back?: string;
  /** Where given, it has to be typed first: the name of what cannot be brought back. */
  typed?: string;
}

type Ask = (question: Question) => Promise<boolean>;
const Context = createContext<Ask>(() => Promise.resolve(false));

export const useConfirm = (): Ask => useContext(Context);

export function ConfirmProvider({ children }: { children: ReactNode }) {
  const [open, setOpen] = useState<(Question & { answer: (yes: boolean) => void }) | null>(null);
  const ask = useCallback<Ask>((question) => new Promise((resolve) => setOpen({ ...question, answer: resolve })), []);
  const answer = (yes: boolean) => {
    open?.answer(yes);
    setOpen(null);
  };
  return (
    <Context.Provider value={ask}>
      {children}
      <Late opened={open !== null}>{(opened) => <ConfirmDialog question={opened ? open : null} answer={answer} />}</Late>
    </Context.Provider>
  );
}
