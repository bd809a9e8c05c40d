/** Ask before something is lost. `const confirm = useConfirm()`; the dialog says what will be lost. */
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { createContext, type ReactNode, useCallback, useContext, useState } from "react";
import { useTranslation } from "react-i18next";

interface Question {
  title: string;
  /** What will be lost, in a sentence or two. */
  lost: ReactNode;
  /** The word on the button: "Delete", "Stop". */
  action: string;
  /** Where given, it has to be typed first: the name of what cannot be brought back. */
  typed?: string;
}

type Ask = (question: Question) => Promise<boolean>;
const Context = createContext<Ask>(() => Promise.resolve(false));

export const useConfirm = (): Ask => useContext(Context);

export function ConfirmProvider({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState<(Question & { answer: (yes: boolean) => void }) | null>(null);
  const [typed, setTyped] = useState("");
  const ask = useCallback<Ask>(
    (question) =>
      new Promise((resolve) => {
        setTyped("");
        setOpen({ ...question, answer: resolve });
      }),
    [],
  );
  const answer = (yes: boolean) => {
    open?.answer(yes);
    setOpen(null);
  };
  return (
    <Context.Provider value={ask}>
      {children}
      <Modal opened={open !== null} zIndex={300} onClose={() => answer(false)} title={open?.title} closeButtonProps={{ "aria-label": t("close") }}>
        {open && (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              answer(true);
            }}
          >
            <Stack gap="md">
              <Text size="sm">{open.lost}</Text>
              {open.typed !== undefined && (
                <TextInput
                  label={t("typeToConfirm", { name: open.typed })}
                  value={typed}
                  onChange={(event) => setTyped(event.currentTarget.value)}
                  data-autofocus
                />
              )}
              <Group justify="flex-end" gap="sm">
                <Button variant="default" onClick={() => answer(false)}>
                  {t("cancel")}
                </Button>
                <Button type="submit" color="red" disabled={open.typed !== undefined && typed !== open.typed}>
                  {open.action}
                </Button>
              </Group>
            </Stack>
          </form>
        )}
      </Modal>
    </Context.Provider>
  );
}
