/** Arrays of NumPy: type, shape and numbers of what was read. */
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import { number } from "@/ui/format";
import { cellText } from "./TableView";
import classes from "./Preview.module.css";

export function Arrays({ arrays }: { arrays: Schemas["ArrayPreview"][] }) {
  const { t } = useTranslation("preview");
  return (
    // A region that scrolls has to be reachable by keys.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={classes.table} role="region" aria-label={t("kinds.arrays")} tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t("arrays.name")}</th>
            <th scope="col">{t("arrays.dtype")}</th>
            <th scope="col">{t("arrays.shape")}</th>
            <th scope="col" data-number>
              {t("arrays.min")}
            </th>
            <th scope="col" data-number>
              {t("arrays.max")}
            </th>
            <th scope="col" data-number>
              {t("arrays.mean")}
            </th>
            <th scope="col" data-number>
              {t("arrays.nans")}
            </th>
            <th scope="col" data-number>
              {t("arrays.seen")}
            </th>
            <th scope="col">{t("arrays.first")}</th>
          </tr>
        </thead>
        <tbody>
          {arrays.map((array) => (
            <tr key={array.name}>
              <th scope="row">{array.name}</th>
              <td>{array.dtype}</td>
              <td>{array.shape.length ? array.shape.join(" × ") : t("arrays.scalar")}</td>
              <td data-number>{number(array.min)}</td>
              <td data-number>{number(array.max)}</td>
              <td data-number>{number(array.mean)}</td>
              <td data-number>{array.nans ?? 0}</td>
              <td data-number>{array.seen ?? 0}</td>
              <td className="n-mono">{(array.first ?? []).slice(0, 8).map(cellText).join(", ")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
