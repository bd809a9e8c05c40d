/** What is in a version: classes, columns of tables, images, arrays, kinds of files. */
import { Button, SegmentedControl } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import { useProject } from "@/app/project";
import { BarChart } from "@/ui/charts/BarChart";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { bytes, number } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Notice } from "@/ui/Notice";
import { Arrays } from "@/ui/preview/Arrays";
import { Columns } from "./Columns";
import classes from "./data.module.css";
import { summaryQuery } from "./dataset";

const FIRST_CLASSES = 24;
const ALL = "";

export default function Statistics({ dataset, version }: { dataset: string; version: number }) {
  const { t } = useTranslation("data");
  const { name: project } = useProject();
  const found = useQuery(summaryQuery(project, dataset, version));
  if (found.error) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) {
    return (
      <>
        <Loading />
        <p className={classes.waiting}>{t("stats.computing")}</p>
      </>
    );
  }
  const { classes: counts, tables = [], images, arrays = [], endings, sampled, message } = found.data;
  return (
    <div className={classes.stats}>
      {sampled && (
        <Notice>
          {t("stats.sampled", { count: found.data.rows ?? 0 })} {message}
        </Notice>
      )}
      {counts && <Classes counts={counts} />}
      {tables.map((table) => (
        <Columns key={table.path} table={table} alone={tables.length === 1} />
      ))}
      {images && <Images images={images as Schemas["ImagesSummary"]} />}
      {arrays.length > 0 && (
        <Part title={t("stats.arrays")}>
          {[...new Set(arrays.map((one) => one.path))].map((path) => (
            <div key={path} className={classes.framed}>
              <p className={classes.frameTitle}>{path}</p>
              <Arrays arrays={arrays.filter((one) => one.path === path).map((one) => one.array)} />
            </div>
          ))}
        </Part>
      )}
      <Part title={t("stats.endings")}>
        <div className={classes.bars}>
          <BarChart
            label={t("stats.endings")}
            rows={endings.map((one) => ({
              label: `${one.ending || t("stats.noEnding")} (${bytes(one.size)})`,
              value: one.files,
            }))}
          />
        </div>
      </Part>
      <div>
        <Cli words={["nacre", "data", "summary", `${dataset}@${String(version)}`]} />
      </div>
    </div>
  );
}

export function Part({ title, facts, children }: { title: string; facts?: ReactNode; children: ReactNode }) {
  return (
    <section className={classes.part}>
      <header>
        <h2>{title}</h2>
        {facts && <span className={classes.soft}>{facts}</span>}
      </header>
      {children}
    </section>
  );
}

function Classes({ counts }: { counts: Schemas["ClassCounts"] }) {
  const { t } = useTranslation("data");
  const [split, setSplit] = useState(ALL);
  const [all, setAll] = useState(false);
  const rows = counts.classes.map((one) => ({ label: one.label, value: split ? (one.splits?.[split] ?? 0) : one.count }));
  const values = rows.map((row) => row.value);
  const shown = all ? rows : rows.slice(0, FIRST_CLASSES);
  const whence = {
    folders: t("stats.byFolders"),
    column: t("stats.byColumn", { name: counts.name }),
    array: counts.name ? t("stats.byArray", { name: counts.name }) : t("stats.byArrays"),
  }[counts.source];
  const samples = split ? values.reduce((sum, value) => sum + value, 0) : counts.samples;
  return (
    <Part
      title={t("stats.classes")}
      facts={[
        t("stats.classCount", { count: counts.total }),
        whence,
        t("stats.samples", { count: samples }),
        balance(t, values),
      ]
        .filter(Boolean)
        .join(" · ")}
    >
      {(counts.splits?.length ?? 0) > 0 && (
        <SegmentedControl
          value={split}
          onChange={setSplit}
          data={[{ value: ALL, label: t("stats.all") }, ...counts.splits!.map((one) => ({ value: one, label: one }))]}
          aria-label={t("stats.split")}
          style={{ alignSelf: "start" }}
        />
      )}
      <div className={classes.bars}>
        <BarChart label={t("stats.classes")} rows={shown} />
      </div>
      {rows.length > shown.length && (
        <Button variant="default" style={{ alignSelf: "start" }} onClick={() => setAll(true)}>
          {t("stats.allClasses", { count: rows.length })}
        </Button>
      )}
    </Part>
  );
}

function balance(t: ReturnType<typeof useTranslation<"data">>["t"], values: number[]): string {
  if (values.length < 2) return "";
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? t("stats.equal", { most }) : t("stats.balance", { least, most });
}

function Images({ images }: { images: Schemas["ImagesSummary"] }) {
  const { t } = useTranslation("data");
  const range = (pair: [number, number] | null | undefined) =>
    pair ? (pair[0] === pair[1] ? String(pair[0]) : `${String(pair[0])}–${String(pair[1])}`) : "–";
  const bars = (counts: Schemas["ValueCount"][] = []) => counts.map((one) => ({ label: one.value, value: one.count }));
  return (
    <Part
      title={t("stats.images")}
      facts={[
        t("stats.imageCount", { count: images.files }),
        images.sampled ? t("stats.looked", { count: images.looked }) : "",
        t("stats.pixels", { width: range(images.width as [number, number] | null), height: range(images.height as [number, number] | null) }),
      ]
        .filter(Boolean)
        .join(" · ")}
    >
      <div className={classes.columns3}>
        {([["sizes", images.sizes], ["modes", images.modes], ["formats", images.formats]] as const).map(([key, counts]) => (
          <div key={key}>
            <h3>{t(`stats.${key}`)}</h3>
            <BarChart label={t(`stats.${key}`)} rows={bars(counts).slice(0, 8)} format={(value) => number(value)} />
          </div>
        ))}
      </div>
    </Part>
  );
}
