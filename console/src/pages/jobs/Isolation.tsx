/** How much stood between the work and the machine, of an attempt's replicas: which limit, and who holds it. */
import { Table, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { bytes } from "@/ui/format";
import { type Held, held, levelOf, ranges } from "./isolation";
import type { Job } from "./job";
import classes from "./JobRecord.module.css";
import { amount } from "./words";

const LIMITS = ["cpu", "memory", "processes", "disk"] as const;
const KNOWN = new Set(["sandbox", "level", "missing", "network", "seccomp", "uid", ...LIMITS]);
const NETWORKS = ["none", "packages", "full"];

export function Isolation({ job }: { job: Job }) {
  const { t } = useTranslation("jobs");
  const attempt = [...(job.attempts ?? [])].reverse().find((one) => one.isolation ?? one.replicas?.some((its) => its.isolation));
  if (!attempt) return null;
  const replicas = attempt.replicas ?? [];
  const reported = held(replicas);
  const groups = reported.length ? reported : [{ ranks: [0], held: attempt.isolation as Held }];
  const many = replicas.length > 1;
  const asked = (job.record?.hardware ?? {}) as Record<string, number | null | undefined>;
  const amounts: Record<string, string | null> = {
    cpu: asked.cpu ? t("isolation.cpus", { amount: amount(asked.cpu) }) : null,
    memory: asked.memory ? bytes(asked.memory) : null,
    processes: null,
    disk: asked.disk ? bytes(asked.disk) : null,
  };
  const how = (one: Held, key: (typeof LIMITS)[number]) => {
    const value = one[key];
    if (!value) return t("isolation.noLimit");
    const by = t(`isolation.how.${value.replaceAll(" ", "_")}`, { defaultValue: value });
    return amounts[key] ? t("isolation.limit", { amount: amounts[key], by }) : by;
  };
  const rows: { name: string; of: (one: Held) => string }[] = [
    { name: t("isolation.level"), of: (one) => t(`isolation.levels.${levelOf(one)}`) },
    { name: t("isolation.sandbox"), of: (one) => t(`isolation.sandboxes.${one.sandbox ?? "none"}`, { defaultValue: one.sandbox ?? "" }) },
    ...LIMITS.map((key) => ({ name: t(`isolation.${key}`), of: (one: Held) => how(one, key) })),
    { name: t("isolation.network"), of: (one) => (NETWORKS.includes(one.network ?? "") ? t(`isolation.networks.${one.network!}`) : (one.network ?? "–")) },
    { name: t("isolation.seccomp"), of: (one) => (one.seccomp ? t("common:yes") : t("common:no")) },
    { name: t("isolation.uid"), of: (one) => (one.uid === null || one.uid === undefined ? "–" : String(one.uid)) },
  ];
  // What a newer launcher says besides is shown as it says it.
  const more = new Set(groups.flatMap((one) => Object.keys(one.held)).filter((key) => !KNOWN.has(key)));
  for (const key of more) rows.push({ name: key, of: (one) => said(one[key]) });
  const missing = [...new Set(groups.flatMap((one) => one.held.missing ?? []))];
  const levels = [...new Set(groups.map((one) => levelOf(one.held)))];
  return (
    <div>
      <Title order={2} size="h3" mb={4}>
        {t("isolation.title")}
      </Title>
      {levels.map((level) => (
        <p key={level} className="n-soft">
          {t(`isolation.${level}`)}
        </p>
      ))}
      {missing.length > 0 && (
        <>
          <p className={classes.missingTitle}>{t("isolation.missing")}</p>
          <ul className={classes.missing}>
            {missing.map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
        </>
      )}
      {/* A region that scrolls has to be reachable by keys. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={classes.held} tabIndex={0} role="region" aria-label={t("isolation.title")}>
        <Table aria-label={t("isolation.title")}>
          {many && (
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t("isolation.what")}</Table.Th>
                {groups.map((one) => (
                  <Table.Th key={one.ranks[0]}>
                    {one.ranks.length === replicas.length ? t("isolation.all", { count: replicas.length }) : t("isolation.ranks", { count: one.ranks.length, ranks: ranges(one.ranks) })}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
          )}
          <Table.Tbody>
            {rows.map((row) => (
              <Table.Tr key={row.name}>
                <Table.Th scope="row">{row.name}</Table.Th>
                {groups.map((one) => (
                  <Table.Td key={one.ranks[0]}>{row.of(one.held)}</Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </div>
    </div>
  );
}

const said = (value: unknown) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
