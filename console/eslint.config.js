import i18next from "eslint-plugin-i18next";
import jsxA11y from "eslint-plugin-jsx-a11y";
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["node_modules", "src/api/schema.d.ts"] },
  ...tseslint.configs.strict,
  reactHooks.configs.flat.recommended,
  jsxA11y.flatConfigs.recommended,
  {
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off",
      "no-console": "error",
    },
  },
  {
    files: ["src/**/*.tsx"],
    ignores: ["src/**/*.test.tsx"],
    plugins: { i18next },
    rules: {
      // Every word that a person reads comes from src/locales.
      "i18next/no-literal-string": [
        "error",
        {
          mode: "jsx-only",
          "jsx-attributes": { include: ["label", "title", "placeholder", "aria-label", "description", "alt"] },
          words: { exclude: ["[^\\p{L}]*", "Nacre", "JupyterLab", "TensorBoard", "YAML", "JSON", "CSV", "Parquet", "ONNX", "curl", "Python", "JavaScript", "GPU", "CPU", "English", "简体中文", "train\\.py"] },
        },
      ],
    },
  },
);
