/** The dialog of `useConfirm`. */
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Question } from "./confirm";

interface Props {
  /** Null: it is closed. */
  question: Question | null;
  answer: (yes: boolean) => void;
}

export default function ConfirmDialog({ question, answer }: Props) {
  const { t } = useTranslation();
  return (
    <Modal opened={question !== null} zIndex={300} onClose={() => answer(false)} title={question?.title} closeButtonProps={{ "aria-label": t("close") }}>
      {question && <Form question={question} answer={answer} />}
    </Modal>
  );
}

function Form({ question, answer }: { question: Question; answer: (yes: boolean) => void }) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        answer(true);
      }}
    >
      <Stack gap="md">
        <Text size="sm">{question.lost}</Text>
        {question.typed !== undefined && (
          <TextInput
            label={t("typeToConfirm", { name: question.typed })}
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            data-autofocus
          />
        )}
        <Group justify="flex-end" gap="sm">
          <Button variant="default" onClick={() => answer(false)}>
            {question.back ?? t("cancel")}
          </Button>
          <Button type="submit" color="red" disabled={question.typed !== undefined && typed !== question.typed}>
            {question.action}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
