/** Code that asks this endpoint, and the token that it needs. */
import { Anchor, SegmentedControl } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Cli } from "@/ui/Cli";
import { useUrlState } from "@/ui/useUrlState";
import { Code } from "./Code";
import type { Endpoint } from "./data";
import classes from "./endpoints.module.css";
import { exampleOf } from "./playground/signature";
import { compact } from "./playground/TextInputs";
import { curlFile, javaScript, nacrePython, pythonRequests, pythonTriton } from "./snippets";

const LANGUAGES = ["curl", "requests", "triton", "nacre", "javascript"] as const;
type Language = (typeof LANGUAGES)[number];
const MOST_EXAMPLE = 4096;

export function UseIt({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useTranslation("endpoints");
  const [asked, setLanguage] = useUrlState("language", "curl");
  const language = LANGUAGES.find((one) => one === asked) ?? "curl";
  const { signature } = endpoint;
  if (!signature) return <p className={classes.message}>{t("play.noSignature")}</p>;
  const to = { url: endpoint.url, model: endpoint.model, signature };
  const codes: Record<Language, string> = {
    curl: curlFile(to),
    requests: pythonRequests(to),
    triton: pythonTriton(to),
    nacre: nacrePython({ name: endpoint.name, signature }),
    javascript: javaScript(to),
  };
  const example = compact(exampleOf(signature));
  return (
    <div className={classes.stack}>
      <section className={classes.section}>
        <h2>{t("use.token")}</h2>
        <p className={classes.message}>
          {t("use.tokenText")} <Anchor component={Link} to="/account?tab=tokens" size="sm" underline="always">{t("use.tokens")}</Anchor>
        </p>
        <div style={{ marginTop: 8 }}>
          <Cli words={["nacre", "token", "create", `${endpoint.name}-client`, "--scope", "endpoints:predict"]} />
        </div>
      </section>
      <section className={classes.section}>
        <h2>{t("use.code")}</h2>
        <SegmentedControl
          value={language}
          onChange={setLanguage}
          data={LANGUAGES.map((one) => ({ value: one, label: t(`use.languages.${one}`) }))}
          aria-label={t("use.language")}
          mb={8}
          maw="100%"
          style={{ overflowX: "auto" }}
        />
        <Code label={t(`use.languages.${language}`)} text={codes[language]} />
      </section>
      {language === "curl" && (
        <section className={classes.section}>
          <h2>{t("use.request")}</h2>
          {example.length <= MOST_EXAMPLE ? <Code label={t("use.request")} text={example} /> : <p className={classes.message}>{t("use.long")}</p>}
        </section>
      )}
      <p className={classes.message}>{t("use.protocol")}</p>
    </div>
  );
}
