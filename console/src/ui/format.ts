/** How numbers, sizes, times and money read. `language` is i18next's; every function is pure. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(size: number | null | undefined): string {
  if (size === null || size === undefined) return "–";
  let unit = 0;
  let value = size;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]!}`;
}

/** Micro-units of money, e.g. `0.0123 USD`, as `nacre cost` prints them. */
export function money(micros: number | null | undefined, currency = "USD"): string {
  if (micros === null || micros === undefined) return "–";
  const digits = micros === 0 || Math.abs(micros) >= 100_000 ? 2 : Math.abs(micros) >= 100 ? 4 : 6;
  return `${(micros / 1e6).toFixed(digits)} ${currency}`;
}

/** What an hour costs: not rounded as sums are, so that prices below each other have their points below each other. */
export function price(micros: number | null | undefined, currency = "USD"): string {
  if (micros === null || micros === undefined) return "–";
  return `${(micros / 1e6).toFixed(4)} ${currency}`;
}

/** Seconds as `1d 2h`, `3m 4s`, `5.2s`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "m"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value}${unit}`)
    .join(" ");
}

/** A metric's value: at most `digits` significant ones, exponents where they are shorter. */
export function number(value: number | null | undefined, digits = 5): string {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(Math.max(0, digits - 2));
  return String(Number(value.toPrecision(digits)));
}

export function time(iso: string | null | undefined, language: string): string {
  if (!iso) return "–";
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(iso));
}

/** The day alone, where the hour does not matter. */
export function date(iso: string, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(new Date(iso));
}

/** A moment with its zone, for what one hovers over: `Mar 1, 2026, 9:04:05 AM GMT+1`. */
export function timeWithZone(iso: string, language: string): string {
  const shown = { year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", second: "2-digit" } as const;
  return new Intl.DateTimeFormat(language, { ...shown, timeZoneName: "short" }).format(new Date(iso));
}

/** Made once: a table says it hundreds of times a second while one scrolls. */
const agoIn = new Map<string, Intl.RelativeTimeFormat>();

/** "3 minutes ago", in words of the language. */
export function ago(iso: string | null | undefined, language: string, now = Date.now()): string {
  if (!iso) return "–";
  const seconds = (new Date(iso).getTime() - now) / 1000;
  let words = agoIn.get(language);
  if (!words) agoIn.set(language, (words = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" })));
  const steps: [number, Intl.RelativeTimeFormatUnit][] = [
    [60, "second"],
    [3600, "minute"],
    [86_400, "hour"],
    [7 * 86_400, "day"],
    [Number.POSITIVE_INFINITY, "week"],
  ];
  const sizes: Record<string, number> = { second: 1, minute: 60, hour: 3600, day: 86_400, week: 7 * 86_400 };
  const unit = steps.find(([limit]) => Math.abs(seconds) < limit)![1];
  return words.format(Math.round(seconds / sizes[unit]!), unit);
}
