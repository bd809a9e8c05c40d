/** What each replica used last and at most: the charts' lines as a table. */
import { Table, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import classes from "./system.module.css";
import type { SystemChart } from "./system";
import { said, useWords } from "./words";

interface Used {
  last: number | null;
  most: number | null;
}

export function LatestTable({ charts, values }: { charts: SystemChart[]; values: Record<string, Used> }) {
  const { t } = useTranslation("system");
  const words = useWords();
  const ranks = [...new Set(charts.flatMap((chart) => chart.lines.map((one) => one.rank)))].sort((a, b) => (a ?? -1) - (b ?? -1));
  const columns = charts.flatMap((chart) => {
    // One column for what each replica has once; a column for each device and way else.
    const kinds = new Map(chart.lines.map((one) => [`${one.device} ${one.way}`, one]));
    return [...kinds.values()].map((kind) => ({ chart, kind }));
  });
  return (
    <div>
      <Title order={2} size="h3" mb={8}>
        {t("latest")}
      </Title>
      {/* A region that scrolls has to be reachable by keys. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={classes.scroller} tabIndex={0} role="region" aria-label={t("latest")}>
        <Table aria-label={t("latest")}>
          <Table.Thead>
            <Table.Tr>
              {ranks.length > 1 && <Table.Th>{t("replicas")}</Table.Th>}
              {columns.map(({ chart, kind }) => {
                const line = { ...kind, rank: null };
                const detail = words.line(chart, line);
                const title = words.title(chart);
                return (
                  <Table.Th key={kind.key} className="n-num">
                    {detail === title ? title : t("inUnit", { name: title, unit: detail })}
                  </Table.Th>
                );
              })}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {ranks.map((rank) => (
              <Table.Tr key={rank ?? "one"}>
                {ranks.length > 1 && <Table.Th scope="row">{rank === null ? "–" : t("replica", { rank })}</Table.Th>}
                {columns.map(({ chart, kind }) => {
                  const line = chart.lines.find((one) => one.rank === rank && one.device === kind.device && one.way === kind.way);
                  return (
                    <Table.Td key={kind.key} className="n-num">
                      {said(line && values[line.key]?.last, chart.unit)}
                      {line && <div className="n-soft">{t("most", { amount: said(values[line.key]?.most, chart.unit) })}</div>}
                    </Table.Td>
                  );
                })}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
    </div>
  );
}
