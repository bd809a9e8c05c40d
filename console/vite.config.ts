import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const SERVER = process.env.NACRE_SERVER ?? "http://127.0.0.1:7373";

/** Files beside each output, compressed once here instead of at every request. */
function compressed(): Plugin {
  let folder = "";
  return {
    name: "compressed",
    apply: "build",
    configResolved: (config) => {
      folder = config.build.outDir;
    },
    closeBundle: () => {
      if (!existsSync(folder)) return; // the build failed: its own error is told
      for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
        const path = join(folder, name);
        if (!/\.(js|css|html|svg|json|wasm)$/.test(name) || statSync(path).size < 1024) continue;
        const bytes = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 };
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params }));
      }
    },
  };
}

/**
 * What comes together. By itself the bundler makes a file of each set of modules that the same pages share, most of
 * them of some hundred bytes: a page would ask for a hundred.
 */
const GROUPS = [
  { name: "libraries", tags: ["$initial" as const], test: /node_modules[\\/]/, priority: 4 },
  { name: "start", tags: ["$initial" as const], priority: 3 },
  { name: "zrender", test: /node_modules[\\/]zrender[\\/]/, priority: 2, includeDependenciesRecursively: false },
  { name: "shared", minShareCount: 2, entriesAware: true, entriesAwareMergeThreshold: 60_000, priority: 1 },
];

export default defineConfig({
  plugins: [react(), compressed()],
  resolve: { alias: { "@": new URL("./src", import.meta.url).pathname } },
  build: {
    outDir: process.env.NACRE_CONSOLE_OUT ?? new URL("../src/nacre/console", import.meta.url).pathname,
    emptyOutDir: true,
    assetsInlineLimit: 0,
    cssCodeSplit: false, // 35 KiB for all pages: less than a file for each part, with its headers
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    target: "es2023",
    rolldownOptions: {
      output: {
        codeSplitting: { groups: GROUPS },
        // Otherwise they are called by all the parts that share them.
        chunkFileNames: ({ name }) => (name.startsWith("shared") ? "assets/shared-[hash].js" : "assets/[name]-[hash].js"),
      },
    },
  },
  worker: { format: "es" },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": { target: SERVER, ws: true, changeOrigin: false } },
  },
  // What draws says so in its first line: // @vitest-environment jsdom, and imports @/test/setup.
  test: { environment: "node", include: ["src/**/*.test.{ts,tsx}"] },
});
