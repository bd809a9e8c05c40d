/** uPlot with Nacre's axes, colours, zoom and tooltip. Knows nothing of React. */
import type uPlot from "uplot";
import { align, layers, type LineSeries } from "./align";
import { decades, DURATIONS, level, marks, place, STEPS, type XKind } from "./axes";
import { faded } from "./colors";
import { ofPlaces, ofValues, type Range } from "./ranges";
import { tokens } from "./theme";
import { hide, show, type TooltipWords } from "./tooltip";

export type { Range } from "./ranges";

export interface PlotSpec {
  series: readonly LineSeries[];
  x: XKind;
  logX: boolean;
  logY: boolean;
  /** The axis of values begins at 0. */
  zero: boolean;
  sync: string | undefined;
  range: Range | null;
  language: string;
  more: TooltipWords["more"];
  onZoom: (range: Range | null) => void;
}

let loading: Promise<void> | null = null;
let loaded: typeof uPlot | null = null;

/** uPlot; null while it is on its way, for the first chart that is about to be drawn: `then` is called with it. */
export function ready(then: () => void): typeof uPlot | null {
  if (loaded) return loaded;
  loading ??= Promise.all([import("uplot"), import("uplot/dist/uPlot.min.css")]).then(([it]) => {
    loaded = it.default;
  });
  void loading.then(then);
  return null;
}

/** What needs another uPlot: everything but data, range and the theme. */
export function shape({ series, x, logX, logY, zero, sync, language }: PlotSpec): string {
  const lines = series.map((one) => [one.id, one.color, one.lower ? 1 : 0, one.faint ? 1 : 0, one.dashed ? 1 : 0]);
  return JSON.stringify([lines, x, logX, logY, zero, sync, language]);
}

export class Plot {
  private u: uPlot;
  private spec: PlotSpec;
  readonly shape: string;

  constructor(
    private readonly Made: typeof uPlot,
    private readonly box: HTMLElement,
    private width: number,
    private height: number,
    spec: PlotSpec,
  ) {
    this.spec = spec;
    this.shape = shape(spec);
    this.u = this.make();
  }

  private make(): uPlot {
    const u = new this.Made(this.options(), this.columns(), this.box);
    u.batch(() => undefined); // now, not when this task is over: drawing has a budget
    u.over.addEventListener("dblclick", () => this.spec.onZoom(null));
    u.over.addEventListener("mouseleave", () => hide(u));
    return u;
  }

  private columns(): uPlot.AlignedData {
    const { series, logX, logY } = this.spec;
    return align(series, layers(series), { logX, logY }) as uPlot.AlignedData;
  }

  private options(): uPlot.Options {
    const { series, x, logX, logY, sync, language } = this.spec;
    const drawn = layers(series);
    const bands: uPlot.Band[] = [];
    drawn.forEach(({ part, series: at }, index) => {
      if (part === "upper") bands.push({ series: [index + 1, index + 2], fill: faded(series[at]!.color, 0.16) });
    });
    const soft = () => tokens().soft;
    const line = { stroke: () => tokens().border, width: 1 };
    const font = `11px ${tokens().font}`;
    const powers = (_: uPlot, splits: (number | null)[]) => decades(splits);
    const axis = { stroke: soft, grid: line, ticks: { ...line, size: 4 }, font, gap: 4 };
    return {
      width: this.width,
      height: this.height,
      ms: 1,
      padding: [8, 12, 0, 0],
      legend: { show: false },
      scales: {
        x: {
          time: x === "time",
          distr: logX ? 3 : 1,
          range: (u): Range => this.spec.range ?? ofPlaces(u.data[0], x, logX),
        },
        y: logY ? { distr: 3 } : { range: (_, low, high) => ofValues(this.spec.zero && low !== null ? Math.min(0, low) : low, high, (from, to) => this.Made.rangeNum(from, to, 0.1, true) as Range) },
      },
      axes: [
        {
          ...axis,
          size: 26,
          space: 52,
          ...(logX || x === "time" ? {} : { incrs: x === "relative" ? DURATIONS : STEPS }),
          values: (_, splits) => marks(x, language, splits),
        },
        {
          ...axis,
          space: 30,
          size: (_, values) => 14 + 6.2 * Math.max(2, ...(values ?? []).map((one) => one.length)),
          ...(logY ? { filter: powers, grid: { ...line, filter: powers }, ticks: { ...axis.ticks, filter: powers } } : {}),
          values: (_, splits) => splits.map(level),
        },
      ],
      bands,
      series: [{}, ...drawn.map(({ series: at, part }) => styled(series[at]!, part))],
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        points: { size: 6 },
        bind: { dblclick: () => null },
        ...(sync
          ? { sync: { key: sync, scales: ["x", null], setSeries: false, filters: { pub: (type) => type.startsWith("mousem") || type === "mouseleave" } } }
          : {}),
      },
      hooks: {
        setSelect: [(u) => this.selected(u)],
        setCursor: [
          (u) => {
            if (u.cursor.event) show(u, this.spec.series, this.words());
          },
        ],
      },
    };
  }

  private words(): TooltipWords {
    return { place: (value) => place(this.spec.x, this.spec.language, value), more: this.spec.more };
  }

  private selected(u: uPlot): void {
    const { left, width } = u.select;
    if (width < 4) return;
    const range: Range = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    hide(u);
    this.spec.onZoom(range);
  }

  /** New points, another range or both; the spec must have the same `shape`. */
  update(spec: PlotSpec): void {
    this.spec = spec;
    this.u.batch(() => this.u.setData(this.columns(), true));
  }

  resize(width: number, height: number): void {
    if (width === this.width && height === this.height) return;
    this.width = width;
    this.height = height;
    this.u.setSize({ width, height });
  }

  /** Draw again with the colours of the theme. */
  redraw(): void {
    this.u.redraw(false, true);
  }

  destroy(): void {
    hide(this.u);
    this.u.destroy();
  }
}

function styled(one: LineSeries, part: string): uPlot.Series {
  if (part === "y") {
    return { stroke: one.color, width: 1.5, points: { size: 4, fill: one.color, width: 0 }, ...(one.dashed ? { dash: [6, 4] } : {}) };
  }
  const hidden = { points: { show: false } };
  if (part === "faint") return { ...hidden, stroke: faded(one.color, 0.28), width: 1 };
  return { ...hidden, stroke: "transparent", width: 0 };
}
