import { Alert, Button } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Problem } from "@/api/client";

/** What went wrong, in the server's words, and a way to try again. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useTranslation();
  const unreachable = error instanceof Problem && error.status === 0;
  return (
    <Alert color="red" variant="outline" icon={<IconAlertTriangle size={16} />} role="alert">
      {unreachable ? t("unreachable") : error instanceof Error ? error.message : String(error)}
      {retry && (
        <Button variant="default" mt="sm" display="block" onClick={retry}>
          {t("tryAgain")}
        </Button>
      )}
    </Alert>
  );
}
