/**
 * Escape sequences of terminals: what a colour becomes here, and where a sequence ends.
 *
 * Programs choose colours for a background that they cannot see. Ours is light or dark, so every colour is taken
 * to the nearest of a few tokens that are readable on both; a style is a small number that says which.
 */

/** The hues that there are; `default` is the text's own. The order is that of the bits. */
export const HUES = ["default", "soft", "bad", "good", "warn", "busy", "violet", "accent"] as const;
export type Hue = (typeof HUES)[number];

const BACKGROUND = 3;
const FLAGS = 6;
const BOLD = 1 << FLAGS;
const DIM = 2 << FLAGS;
const ITALIC = 4 << FLAGS;
const UNDERLINE = 8 << FLAGS;
const INVERSE = 16 << FLAGS;
const STRIKE = 32 << FLAGS;

export interface Look {
  color: Hue;
  background: Hue;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
  strike: boolean;
}

/** What a style number says. 0 is plain text. */
export function lookOf(style: number): Look {
  return {
    color: HUES[style & 7]!,
    background: HUES[(style >> BACKGROUND) & 7]!,
    bold: (style & BOLD) !== 0,
    dim: (style & DIM) !== 0,
    italic: (style & ITALIC) !== 0,
    underline: (style & UNDERLINE) !== 0,
    inverse: (style & INVERSE) !== 0,
    strike: (style & STRIKE) !== 0,
  };
}

/** Black, red, green, yellow, blue, magenta, cyan, white; then the bright ones. */
const NAMED: Hue[] = ["default", "bad", "good", "warn", "busy", "violet", "accent", "default"];
const BRIGHT: Hue[] = ["soft", "bad", "good", "warn", "busy", "violet", "accent", "default"];

/** The hue of 24-bit colour: grey where there is little of one. */
export function hueOf(red: number, green: number, blue: number): Hue {
  const most = Math.max(red, green, blue);
  const least = Math.min(red, green, blue);
  if (most - least < 40) return most > 96 && most < 176 ? "soft" : "default";
  const sixth =
    most === red
      ? ((green - blue) / (most - least) + 6) % 6
      : most === green
        ? (blue - red) / (most - least) + 2
        : (red - green) / (most - least) + 4;
  const degrees = sixth * 60;
  if (degrees < 25 || degrees >= 340) return "bad";
  if (degrees < 75) return "warn";
  if (degrees < 165) return "good";
  if (degrees < 200) return "accent";
  if (degrees < 255) return "busy";
  return "violet";
}

/** One of the 256: the 16 with names, a cube of 6 × 6 × 6, and 24 greys. */
export function hueOf256(index: number): Hue {
  if (index < 8) return NAMED[index] ?? "default";
  if (index < 16) return BRIGHT[index - 8]!;
  if (index < 232) {
    const level = (part: number) => (part === 0 ? 0 : 55 + 40 * part);
    const place = index - 16;
    return hueOf(level(Math.floor(place / 36)), level(Math.floor(place / 6) % 6), level(place % 6));
  }
  const grey = 8 + 10 * (index - 232);
  return hueOf(grey, grey, grey);
}

const with_ = (style: number, shift: number, hue: Hue) => (style & ~(7 << shift)) | (HUES.indexOf(hue) << shift);

/** The style after `ESC [ parameters m`. What is not understood changes nothing. */
export function restyled(style: number, parameters: string): number {
  // "38:2::255:0:0" is one parameter with parts, "38;2;255;0;0" five parameters.
  const said = parameters === "" ? ["0"] : parameters.split(";");
  let now = style;
  for (let i = 0; i < said.length; i += 1) {
    const parts = said[i]!.split(":");
    const code = Number(parts[0] || 0);
    if (code === 38 || code === 48 || code === 58) {
      const rest = parts.length > 1 ? parts.slice(1) : said.slice(i + 1);
      const kind = Number(rest[0]);
      let hue: Hue | null = null;
      if (kind === 5) hue = hueOf256(Number(rest[1] ?? 0));
      // With colons a colour space may stand before the three.
      const at = parts.length > 5 ? 2 : 1;
      if (kind === 2) hue = hueOf(Number(rest[at] ?? 0), Number(rest[at + 1] ?? 0), Number(rest[at + 2] ?? 0));
      if (hue && code !== 58) now = with_(now, code === 38 ? 0 : BACKGROUND, hue);
      if (parts.length === 1) i += kind === 5 ? 2 : kind === 2 ? 4 : 0;
    } else now = simple(now, code, parts);
  }
  return now;
}

function simple(style: number, code: number, parts: string[]): number {
  if (code === 0) return 0;
  if (code === 1) return style | BOLD;
  if (code === 2) return style | DIM;
  if (code === 3) return style | ITALIC;
  if (code === 4) return parts[1] === "0" ? style & ~UNDERLINE : style | UNDERLINE;
  if (code === 7) return style | INVERSE;
  if (code === 9) return style | STRIKE;
  if (code === 21 || code === 22) return style & ~(BOLD | DIM);
  if (code === 23) return style & ~ITALIC;
  if (code === 24) return style & ~UNDERLINE;
  if (code === 27) return style & ~INVERSE;
  if (code === 29) return style & ~STRIKE;
  if (code >= 30 && code <= 37) return with_(style, 0, NAMED[code - 30]!);
  if (code === 39) return with_(style, 0, "default");
  if (code >= 40 && code <= 47) return with_(style, BACKGROUND, NAMED[code - 40]!);
  if (code === 49) return with_(style, BACKGROUND, "default");
  if (code >= 90 && code <= 97) return with_(style, 0, BRIGHT[code - 90]!);
  if (code >= 100 && code <= 107) return with_(style, BACKGROUND, BRIGHT[code - 100]!);
  return style;
}

export interface Escape {
  /** Where the text goes on. */
  end: number;
  /** The letter of a control sequence, else "". */
  final: string;
  parameters: string;
}

const CSI = /\[([0-?]*)([ -/]*)([@-~])?/y;
const SHORT = /[ -/]*[0-~]?/y;
/** What a string (a window's title, a link) may have; longer is garbage. */
const LONGEST = 4096;

/**
 * The sequence that begins with the ESC at `start`; null when the text ends within it, so that the rest may
 * still come.
 */
export function escapeAt(text: string, start: number): Escape | null {
  const kind = text[start + 1];
  if (kind === undefined) return null;
  if (kind === "[") {
    CSI.lastIndex = start + 1;
    const found = CSI.exec(text)!;
    const end = start + 1 + found[0].length;
    if (found[3]) return { end, final: found[2] ? "" : found[3], parameters: found[1]! };
    // Cut short by the end of the text, or by what belongs to no sequence.
    return end === text.length && end - start < LONGEST ? null : { end, final: "", parameters: "" };
  }
  if ("]PX^_".includes(kind)) {
    for (let i = start + 2; i < text.length && i - start < LONGEST; i += 1) {
      const code = text.charCodeAt(i);
      if (code === 7) return { end: i + 1, final: "", parameters: "" };
      if (code === 10) return { end: start + 2, final: "", parameters: "" };
      if (code === 27) {
        if (i + 1 === text.length) return null;
        return { end: text[i + 1] === "\\" ? i + 2 : i, final: "", parameters: "" };
      }
    }
    return text.length - start < LONGEST ? null : { end: start + 2, final: "", parameters: "" };
  }
  SHORT.lastIndex = start + 1;
  const found = SHORT.exec(text)!;
  const end = start + 1 + found[0].length;
  if (found[0] && /[0-~]$/.test(found[0])) return { end, final: "", parameters: "" };
  return end === text.length && found[0] ? null : { end: Math.max(end, start + 1), final: "", parameters: "" };
}
