/** A duration as people write it. Pure. */

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** `90`, `90s`, `10m` or `1h30m` in seconds, as the server reads them; null: it is no duration. */
export function seconds(text: string): number | null {
  const said = text.trim().toLowerCase();
  if (/^\d+(\.\d+)?$/.test(said)) return Number(said) > 0 ? Number(said) : null;
  if (!/^(\s*\d+(\.\d+)?\s*[smhdw]\s*)+$/.test(said)) return null;
  let sum = 0;
  for (const [, amount, unit] of said.matchAll(/(\d+(?:\.\d+)?)\s*([smhdw])/g)) sum += Number(amount) * UNITS[unit!]!;
  return sum > 0 ? sum : null;
}
