/** Code that asks this endpoint, and the token that it needs. */
import { Anchor, SegmentedControl } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { Cli, CopyLine } from "@/ui/Cli";
import { useUrlState } from "@/ui/useUrlState";
import { Code } from "./Code";
import type { Endpoint } from "./data";
import { baseOf, type Dialect, dialectCode, DIALECTS } from "./dialects";
import classes from "./endpoints.module.css";
import { exampleOf } from "./playground/signature";
import { compact } from "./playground/TextInputs";
import { curlFile, javaScript, nacrePython, pythonRequests, pythonTriton } from "./snippets";

const LANGUAGES = ["curl", "requests", "triton", "nacre", "javascript"] as const;
type Language = (typeof LANGUAGES)[number];
const SERVERS: Record<Dialect, string> = { tensorflow: "TensorFlow Serving", kserve: "KServe v1", mlflow: "MLflow", grpc: "gRPC" };
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
          <Cli words={["nacre", "token", "create", `${endpoint.name}-client`, "--scope", "endpoints:invoke"]} />
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
      <Others endpoint={endpoint} />
    </div>
  );
}

/** For clients that were made for another server: only their address changes. */
function Others({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useTranslation("endpoints");
  const [asked, setDialect] = useUrlState("dialect", "tensorflow");
  const { project, name, url, signature } = endpoint;
  if (!signature) return null;
  const place = { url, grpc: endpoint.grpc ?? "", project, name, signature };
  const offered = DIALECTS.filter((one) => one !== "grpc" || place.grpc);
  const dialect: Dialect = offered.find((one) => one === asked) ?? "tensorflow";
  return (
    <section className={classes.section}>
      <h2>{t("use.others")}</h2>
      <p className={classes.message} style={{ marginBottom: 8 }}>
        {t("use.othersText")}
      </p>
      <SegmentedControl
        value={dialect}
        onChange={setDialect}
        data={offered.map((one) => ({ value: one, label: SERVERS[one] }))}
        aria-label={t("use.others")}
        mb={8}
        maw="100%"
        style={{ overflowX: "auto" }}
      />
      <p className={classes.message} style={{ marginBottom: 8 }}>
        {t(`use.dialectText.${dialect}`, { model: `${project}/${name}` })}
      </p>
      <div style={{ marginBottom: 8 }}>
        <CopyLine text={baseOf(dialect, place)} />
      </div>
      <Code label={SERVERS[dialect]} text={dialectCode(dialect, place)} />
    </section>
  );
}
