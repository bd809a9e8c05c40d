/** What was used and what it cost, what the month will cost, and what an hour costs. */
import { useTranslation } from "react-i18next";
import { Page } from "@/ui/Page";
import { Overview } from "./Overview";
import { Prices } from "./Prices";

export function Cost() {
  const { t } = useTranslation("cost");
  return (
    <Page
      title={t("title")}
      tabs={[
        { value: "usage", label: t("tabs.usage"), content: () => <Overview /> },
        { value: "prices", label: t("tabs.prices"), content: () => <Prices /> },
      ]}
    />
  );
}
