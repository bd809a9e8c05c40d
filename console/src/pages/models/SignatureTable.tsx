/** What a model takes and gives. Open dimensions are marked by a star. */
import { useTranslation } from "react-i18next";
import type { Signature } from "./data";
import classes from "./SignatureTable.module.css";

/** `[-1, 28, 28]` → `* × 28 × 28`; without dimensions it is a single value. */
export function shapeText(shape: number[]): string {
  return shape.map((size) => (size < 0 ? "*" : String(size))).join(" × ") || "1";
}

export function SignatureTable({ signature }: { signature: Signature }) {
  const { t } = useTranslation("models");
  const rows = [
    ...signature.inputs.map((one) => ({ ...one, side: t("signature.input") })),
    ...signature.outputs.map((one) => ({ ...one, side: t("signature.output") })),
  ];
  return (
    <div className={classes.scroller}>
      <table className={classes.table} aria-label={t("signature.title")}>
        <thead>
          <tr>
            <th scope="col">{t("signature.side")}</th>
            <th scope="col">{t("common:name")}</th>
            <th scope="col">{t("common:type")}</th>
            <th scope="col">{t("signature.shape")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.side}${row.name}`}>
              <td>{row.side}</td>
              <td className="n-mono">{row.name}</td>
              <td className="n-mono">{row.datatype}</td>
              <td className="n-mono" title={t("signature.open")}>
                {shapeText(row.shape)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
