/** Versions side by side on one dataset: the figures, and the F1 of each class. */
import { MultiSelect, Select } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useProject } from "@/app/project";
import { useUrlList, useUrlState } from "@/ui/useUrlState";
import { modelPath, type Version } from "./data";
import { best, dataOf, MEASURES, measured, perClass } from "./measures";
import classes from "./models.module.css";
import tables from "./SignatureTable.module.css";
import { Score } from "./VersionsTab";

const AT_FIRST = 4;

export function CompareTab({ versions }: { versions: Version[] }) {
  const { t } = useTranslation("models");
  const project = useProject().name;
  const choices = dataOf(versions);
  const [asked, setData] = useUrlState("data", choices[0] ?? "");
  const data = choices.includes(asked) ? asked : (choices[0] ?? "");
  const evaluated = versions.filter((version) => measured(version, data));
  const [picked, setPicked] = useUrlList("compare");
  const wanted = picked.length ? picked : evaluated.slice(0, AT_FIRST).map((version) => String(version.number));
  const shown = evaluated.filter((version) => wanted.includes(String(version.number))).sort((a, b) => a.number - b.number);
  return (
    <div className={classes.stack}>
      <div className={classes.bar}>
        <Select label={t("measures.on")} data={choices} value={data} onChange={(value) => value && setData(value)} allowDeselect={false} w={240} />
        <MultiSelect
          label={t("tabs.versions")}
          data={evaluated.map((version) => ({ value: String(version.number), label: t("versionWord", { number: version.number }) }))}
          value={shown.map((version) => String(version.number))}
          onChange={setPicked}
          miw={240}
          maw={480}
        />
      </div>
      {shown.length > 0 && (
        <div className={tables.scroller} style={{ maxWidth: "none" }}>
          <table className={tables.table} aria-label={t("compare.title", { data })}>
            <thead>
              <tr>
                <th scope="col">{t("compare.measure")}</th>
                {shown.map((version) => (
                  <th key={version.id} scope="col" className="n-num">
                    <Link to={modelPath(project, version.model, { version: version.number, tab: "evaluations" })}>
                      {t("versionWord", { number: version.number })}
                    </Link>{" "}
                    {(version.aliases ?? []).map((alias) => `@${alias}`).join(" ")}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {MEASURES.map((measure) => (
                <Row
                  key={measure}
                  name={t(`measures.${measure}`)}
                  values={shown.map((version) => measured(version, data)?.[measure] ?? null)}
                  top={best(shown, data, measure)}
                />
              ))}
              {classNames(shown, data).map((name) => {
                const values = shown.map((version) => perClass(measured(version, data)!).find((row) => row.label === name)?.f1 ?? null);
                const known = values.filter((value) => value !== null);
                return <Row key={`class ${name}`} name={t("compare.class", { name })} values={values} top={known.length > 1 ? Math.max(...known) : null} />;
              })}
            </tbody>
          </table>
        </div>
      )}
      <p className={classes.message}>{t("compare.text")}</p>
    </div>
  );
}

const MOST_CLASSES = 100;

function classNames(versions: Version[], data: string): string[] {
  const names = new Set(versions.flatMap((version) => measured(version, data)?.labels ?? []));
  return [...names].slice(0, MOST_CLASSES);
}

/** Values of each version, and by how much each differs from the one before. */
function Row({ name, values, top }: { name: string; values: (number | null)[]; top: number | null }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      {values.map((value, at) => {
        const before = at > 0 ? values[at - 1] : null;
        const delta = value !== null && before !== null && before !== undefined ? value - before : null;
        return (
          <td key={at} className="n-num">
            <Score value={value} top={top} />
            {delta !== null && Math.abs(delta) >= 0.00005 && (
              <span className={classes.delta} data-up={delta > 0 || undefined} data-down={delta < 0 || undefined}>
                {delta > 0 ? "+" : "−"}
                {Math.abs(delta).toFixed(4)}
              </span>
            )}
          </td>
        );
      })}
    </tr>
  );
}
