/** The sixteen colours of a terminal from the tokens, for the light and the dark theme. */
import type { ITheme } from "@xterm/xterm";

/** Where no token has the colour; with at least 4.5:1 to the background (xterm.js sees to the rest). */
const MORE = {
  light: { yellow: "#8a5a00", cyan: "#0b6b72", brightBlack: "#5b6370", white: "#5b6370", brightWhite: "#1a1d21", black: "#1a1d21" },
  dark: { yellow: "#e3b341", cyan: "#5cc3ca", brightBlack: "#9aa3ad", white: "#c9d0d6", brightWhite: "#ffffff", black: "#31363b" },
};

export function themeOf(dark: boolean, style: CSSStyleDeclaration = getComputedStyle(document.documentElement)): ITheme {
  const token = (name: string) => style.getPropertyValue(`--n-${name}`).trim();
  const more = dark ? MORE.dark : MORE.light;
  const [red, green, blue, magenta] = [token("bad"), token("good"), token("busy"), token("violet")];
  return {
    background: token("bg"),
    foreground: token("text"),
    cursor: token("accent"),
    cursorAccent: token("bg"),
    selectionBackground: token("accent-soft"),
    selectionInactiveBackground: token("bg-hover"),
    scrollbarSliderBackground: `${token("text-soft")}55`,
    scrollbarSliderHoverBackground: `${token("text-soft")}88`,
    scrollbarSliderActiveBackground: `${token("text-soft")}aa`,
    red,
    green,
    blue,
    magenta,
    brightRed: red,
    brightGreen: green,
    brightBlue: blue,
    brightMagenta: magenta,
    ...more,
    brightYellow: more.yellow,
    brightCyan: more.cyan,
  };
}
