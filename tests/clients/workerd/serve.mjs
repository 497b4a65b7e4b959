// Serves agents.mjs with the TypeScript SDK on workerd: node serve.mjs [port]

import { build } from "esbuild";
import { Miniflare } from "miniflare";

const CLASSES = ["Counter", "Keeper", "NoState", "AIAssistant", "Nameless", "Broken"];
// Some packages ask for Node's modules by their old names, which workerd does not know.
const NODE = ["buffer", "crypto", "events", "fs", "http", "os", "path", "stream", "url", "util", "zlib"];

const { outputFiles } = await build({
  entryPoints: [new URL("agents.mjs", import.meta.url).pathname],
  alias: Object.fromEntries(NODE.map((name) => [name, `node:${name}`])),
  bundle: true,
  conditions: ["workerd", "worker", "browser"],
  external: ["node:*", "cloudflare:*"],
  format: "esm",
  write: false,
});
const miniflare = new Miniflare({
  compatibilityDate: "2026-01-01",
  compatibilityFlags: ["nodejs_compat"],
  durableObjects: Object.fromEntries(CLASSES.map((name) => [name, { className: name, useSQLite: true }])),
  modules: true,
  port: Number(process.argv[2] ?? 8787),
  script: outputFiles[0].text,
});
console.log(String(await miniflare.ready));
