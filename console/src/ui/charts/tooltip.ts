/** The values under the cursor: plain elements, because they change with every move of the mouse. */
import type uPlot from "uplot";
import { number } from "../format";
import { nearest, type LineSeries } from "./align";
import classes from "./LineChart.module.css";

const MOST = 14;

export interface Value {
  label: string;
  color: string;
  x: number;
  value: number;
  low: number | null;
  high: number | null;
}

/** What each series has nearest to `x` and no further than `reach`, the greatest value first. */
export function valuesAt(series: readonly LineSeries[], x: number, reach: number): Value[] {
  const found: Value[] = [];
  for (const one of series) {
    const at = nearest(one.x, x);
    const value = at < 0 ? null : one.y[at];
    if (value === null || value === undefined || Math.abs(one.x[at]! - x) > reach) continue;
    const low = one.lower?.[at] ?? null;
    const high = one.upper?.[at] ?? null;
    found.push({ label: one.label, color: one.color, x: one.x[at]!, value, low, high });
  }
  return found.sort((a, b) => b.value - a.value);
}

function element(tag: string, name: string, text = ""): HTMLElement {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

function row(one: Value, close: boolean): HTMLElement {
  const line = element("div", classes.value!);
  if (close) line.dataset.close = "";
  const swatch = element("span", classes.swatch!);
  swatch.style.background = one.color;
  const band = one.low !== null && one.high !== null && one.low !== one.high;
  line.append(
    swatch,
    element("span", classes.name!, one.label),
    element("span", classes.range!, band ? `${number(one.low, 4)} … ${number(one.high, 4)}` : ""),
    element("span", classes.number!, number(one.value)),
  );
  return line;
}

export interface TooltipWords {
  place: (x: number) => string;
  more: (count: number) => string;
}

let shared: HTMLElement | null = null;
let shownBy: uPlot | null = null;

/** One box for all charts, outside of everything that could clip it. */
function theBox(): HTMLElement {
  if (!shared?.isConnected) {
    shared = element("div", classes.tip!);
    shared.hidden = true;
    shared.setAttribute("aria-hidden", "true");
    document.body.append(shared);
    // What scrolls away under the mouse takes its values with it.
    window.addEventListener("scroll", () => shownBy && hide(shownBy), { capture: true, passive: true });
  }
  return shared;
}

/** The chart's values are no longer shown. */
export function hide(u: uPlot): void {
  if (shownBy !== u) return;
  shownBy = null;
  theBox().hidden = true;
}

/** Shows the values at `u.cursor`, where the mouse is. */
export function show(u: uPlot, series: readonly LineSeries[], words: TooltipWords): void {
  const { left = -10, top = -10 } = u.cursor;
  const places = u.data[0];
  if (left < 0 || places.length === 0) {
    hide(u);
    return;
  }
  const scale = u.scales.x!;
  const x = u.posToVal(left, "x");
  const values = valuesAt(series, x, ((scale.max ?? 0) - (scale.min ?? 0)) / 20);
  if (values.length === 0) {
    hide(u);
    return;
  }
  const box = theBox();
  shownBy = u;
  const y = u.posToVal(top, "y");
  const closest = values.reduce((best, one) => (Math.abs(one.value - y) < Math.abs(best.value - y) ? one : best));
  const from = Math.max(0, Math.min(values.indexOf(closest) - (MOST >> 1), values.length - MOST));
  const shown = values.slice(from, from + MOST);
  const head = element("div", classes.place!, words.place(closest.x));
  box.replaceChildren(head, ...shown.map((one) => row(one, one === closest && values.length > 1)));
  if (values.length > shown.length) box.append(element("div", classes.more!, words.more(values.length - shown.length)));
  box.hidden = false;
  const over = u.over.getBoundingClientRect();
  const width = box.offsetWidth;
  const height = box.offsetHeight;
  const right = over.left + left + 14;
  const beside = right + width > window.innerWidth - 8 ? over.left + left - width - 14 : right;
  const below = Math.min(over.top + top + 14, window.innerHeight - height - 8);
  box.style.transform = `translate(${Math.max(8, beside)}px, ${Math.max(8, below)}px)`;
}
