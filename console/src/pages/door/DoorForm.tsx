import { Alert, Button, Stack, TextInput, type TextInputProps } from "@mantine/core";
import type { ReactNode, Ref } from "react";
import { useTranslation } from "react-i18next";
import type { useForm } from "./useForm";

interface Props {
  form: ReturnType<typeof useForm>;
  /** What the one button says. */
  action: string;
  work: () => Promise<void>;
  children: ReactNode;
}

/** A form of the door: what is wrong with the whole, its fields, and the one button. */
export function DoorForm({ form, action, work, children }: Props) {
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void form.send(work);
      }}
      noValidate
    >
      <Stack gap="md">
        {form.failure && (
          <Alert color="red" variant="outline" role="alert">
            {form.failure}
          </Alert>
        )}
        {children}
        <Button type="submit" size="sm" loading={form.busy} fullWidth>
          {action}
        </Button>
      </Stack>
    </form>
  );
}

/** The name of an account. */
export function NameField(props: TextInputProps & { ref?: Ref<HTMLInputElement> | undefined }) {
  const { t } = useTranslation("door");
  return (
    <TextInput
      size="sm"
      label={t("name")}
      name="username"
      autoComplete="username"
      autoCapitalize="none"
      spellCheck={false}
      required
      withAsterisk={false}
      {...props}
    />
  );
}
