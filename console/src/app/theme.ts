import {
  createTheme,
  type CSSVariablesResolver,
  defaultVariantColorsResolver,
  type MantineColorsTuple,
  type VariantColorsResolver,
} from "@mantine/core";

const accent: MantineColorsTuple = [
  "#e2f1f2",
  "#c6e4e6",
  "#9ad0d4",
  "#6bbac0",
  "#45a4ab",
  "#2b8f97",
  "#187e86",
  "#0b6b72",
  "#08585e",
  "#05454a",
];

/** Mantine's own greys of the dark theme, in step with tokens.css: text, borders, fields, background. */
const dark: MantineColorsTuple = [
  "#e4e7ea",
  "#c3c9cf",
  "#9aa3ad",
  "#6b747d",
  "#31363b",
  "#23272b",
  "#1a1d20",
  "#131517",
  "#0e1011",
  "#0a0b0c",
];

/** Filled things in the accent, and those that delete, follow the tokens, so that their words stay readable in both themes. */
const colorsOf: VariantColorsResolver = (input) => {
  const found = defaultVariantColorsResolver(input);
  if (input.variant === "filled" && input.color === "red") {
    return { ...found, background: "var(--n-bad)", hover: "color-mix(in srgb, var(--n-bad) 85%, var(--n-text))", color: "var(--n-bg)" };
  }
  const accented = input.variant === "filled" && (input.color === undefined || input.color === "accent");
  return accented ? { ...found, background: "var(--n-accent)", hover: "var(--n-accent-hover)", color: "var(--n-on-accent)" } : found;
};

export const theme = createTheme({
  fontFamily: "var(--n-font)",
  fontFamilyMonospace: "var(--n-mono)",
  primaryColor: "accent",
  primaryShade: { light: 7, dark: 4 },
  colors: { accent, dark },
  variantColorResolver: colorsOf,
  defaultRadius: 6,
  autoContrast: true,
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "20px" },
  spacing: { xs: "4px", sm: "8px", md: "12px", lg: "16px", xl: "24px" },
  shadows: { xs: "none", sm: "none", md: "none", lg: "none", xl: "none" },
  headings: { fontWeight: "600", sizes: { h1: { fontSize: "20px" }, h2: { fontSize: "16px" }, h3: { fontSize: "14px" } } },
  components: {
    Button: { defaultProps: { size: "xs" }, styles: { root: { fontWeight: 500 } } },
    ActionIcon: { defaultProps: { variant: "subtle", color: "gray", size: "md" } },
    TextInput: { defaultProps: { size: "xs" } },
    PasswordInput: { defaultProps: { size: "sm" } },
    NumberInput: { defaultProps: { size: "xs" } },
    Select: { defaultProps: { size: "xs", comboboxProps: { shadow: "none" } } },
    MultiSelect: { defaultProps: { size: "xs" } },
    Textarea: { defaultProps: { size: "xs" } },
    SegmentedControl: { defaultProps: { size: "xs", withItemsBorders: false }, styles: { label: { paddingInline: 10, fontWeight: 500 } } },
    Switch: { defaultProps: { size: "xs" } },
    Checkbox: { defaultProps: { size: "xs" } },
    // The placeholder that would take the first focus is nothing that a menu may hold: the first item takes it.
    Menu: { defaultProps: { shadow: "none", withInitialFocusPlaceholder: false } },
    Tooltip: { defaultProps: { openDelay: 300 } },
    Modal: { defaultProps: { centered: true } },
  },
});

/** Mantine's own variables, from the same tokens as everything else. */
export const variables: CSSVariablesResolver = () => {
  const both = {
    "--mantine-color-body": "var(--n-bg)",
    "--mantine-color-text": "var(--n-text)",
    "--mantine-color-dimmed": "var(--n-text-soft)",
    "--mantine-color-default": "var(--n-bg)",
    "--mantine-color-default-hover": "var(--n-bg-hover)",
    "--mantine-color-default-border": "var(--n-border)",
    "--mantine-color-default-color": "var(--n-text)",
    "--mantine-color-anchor": "var(--n-accent)",
    "--mantine-primary-color-filled": "var(--n-accent)",
    "--mantine-primary-color-filled-hover": "var(--n-accent-hover)",
    "--mantine-primary-color-contrast": "var(--n-on-accent)",
    "--mantine-color-error": "var(--n-bad)",
    "--mantine-color-red-6": "var(--n-bad)",
    "--mantine-color-red-text": "var(--n-bad)",
    "--mantine-color-red-outline": "var(--n-bad)",
    "--mantine-color-placeholder": "var(--n-text-soft)",
  };
  return { variables: {}, light: both, dark: both };
};
