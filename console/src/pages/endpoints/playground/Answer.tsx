/** What the model answered: classes as bars, values large, tensors as they are. */
import { useTranslation } from "react-i18next";
import { number } from "@/ui/format";
import { answerRows, argmax, type ClassBar, type Prediction, ranked, type Shown, shown } from "./answers";
import classes from "./Playground.module.css";

const MOST_BARS = 12;

export function Answer({ prediction, labels }: { prediction: Prediction; labels: string[] | null }) {
  const several = (prediction.outputs[0]?.shape[0] ?? 1) > 1 && prediction.outputs.every((output) => output.shape[0] === prediction.outputs[0]?.shape[0]);
  if (several) return <Rows prediction={prediction} labels={labels} />;
  const found = prediction.outputs.map((output) => shown(output, labels));
  const bars = found.find((one) => one.kind === "classes");
  // Values that only say again which class is the likeliest come after the bars.
  return (
    <div className={classes.stack}>
      {bars?.kind === "classes" && <Winner bars={bars.bars} />}
      {found.map((one) => (
        <One key={one.name} one={one} quiet={bars !== undefined && one !== bars} />
      ))}
    </div>
  );
}

function Winner({ bars }: { bars: ClassBar[] }) {
  const best = bars[argmax(bars)]!;
  return (
    <p className={classes.winner} aria-live="polite">
      <strong data-testid="winner">{best.label}</strong>
      <span>{(100 * best.share).toFixed(1)} %</span>
    </p>
  );
}

function One({ one, quiet }: { one: Shown; quiet: boolean }) {
  const { t } = useTranslation("endpoints");
  if (one.kind === "classes") return <Bars name={one.name} bars={one.bars} softmax={one.softmax} />;
  if (one.kind === "value" || one.kind === "values") {
    const text = one.kind === "value" ? one.value : one.values.join(", ");
    return (
      <p className={quiet ? classes.quiet : classes.winner}>
        <span>{one.name}</span>
        <strong>{text}</strong>
      </p>
    );
  }
  return (
    <div>
      <p className={classes.help}>{t("answer.tensor", { name: one.name, datatype: one.datatype, shape: one.shape.join(" × ") })}</p>
      <pre className={classes.pre}>{JSON.stringify(one.data.slice(0, 512))}</pre>
      {one.data.length > 512 && <p className={classes.help}>{t("answer.cut", { count: one.data.length })}</p>}
    </div>
  );
}

function Bars({ name, bars, softmax }: { name: string; bars: ClassBar[]; softmax: boolean }) {
  const { t } = useTranslation("endpoints");
  const best = bars[argmax(bars)];
  const list = ranked(bars, MOST_BARS);
  return (
    <div>
      <table className={classes.bars} aria-label={t("answer.classes", { name })}>
        <thead className="n-hidden">
          <tr>
            <th scope="col">{t("answer.class")}</th>
            <th scope="col">{t("answer.probability")}</th>
          </tr>
        </thead>
        <tbody>
          {list.map((bar) => (
            <tr key={bar.label} data-best={bar === best || undefined}>
              <th scope="row" title={bar.label}>
                {bar.label}
              </th>
              <td title={softmax ? t("answer.score", { value: number(bar.value) }) : undefined}>
                <span className={classes.track}>
                  <span className={classes.fill} style={{ width: `${(100 * bar.share).toFixed(2)}%` }} />
                </span>
                <span className={classes.share}>{(100 * bar.share).toFixed(1)} %</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p className={classes.help}>
        {softmax ? t("answer.softmax", { name }) : name}
        {list.length < bars.length && ` ${t("answer.most", { count: list.length, all: bars.length })}`}
      </p>
    </div>
  );
}

function Rows({ prediction, labels }: { prediction: Prediction; labels: string[] | null }) {
  const { t } = useTranslation("endpoints");
  const { columns, rows } = answerRows(prediction, labels);
  return (
    <div className={classes.grid}>
      <table aria-label={t("answer.rows")}>
        <thead>
          <tr>
            <th scope="col">{t("features.sample")}</th>
            {columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((cells, row) => (
            <tr key={row}>
              <th scope="row">{row + 1}</th>
              {cells.map((cell, at) => (
                <td key={columns[at]} className={classes.plain}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
