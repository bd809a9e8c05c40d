import { Button } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link, useRouteError } from "react-router";
import { Failure } from "@/ui/Failure";
import { Page } from "@/ui/Page";

/** `error`: what the server said of it, where it was asked. */
export function NotFoundPage({ error }: { error?: unknown }) {
  const { t } = useTranslation();
  return (
    <Page title={t("notFound.title")}>
      {error ? <Failure error={error} /> : <p style={{ margin: 0 }}>{t("notFound.text")}</p>}
      <Button component={Link} to="/" w="fit-content">
        {t("notFound.home")}
      </Button>
    </Page>
  );
}

/** A page broke, or its chunk is from before an upgrade: loading the page again gets the new one. */
export function RouteFailure() {
  const error = useRouteError();
  return (
    <main style={{ padding: 24 }}>
      <Failure error={error} retry={() => window.location.reload()} />
    </main>
  );
}
