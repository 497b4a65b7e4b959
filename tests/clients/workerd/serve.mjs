// Serves agents.mjs with the TypeScript SDK on workerd: node serve.mjs [port [folder that keeps the storage]]

import { build } from "esbuild";
import { Miniflare } from "miniflare";

const CLASSES = ["Counter", "Keeper", "NoState", "AIAssistant", "Nameless", "Broken"];
const CHAT = ["Chat", "LatestChat", "MergingChat", "DroppingChat", "PatientChat", "ShortChat", "DiscreetChat", "TalkativeChat"];
const MORE = ["ForgetfulChat", "Timer", "Parent", "Child"];
// Some packages ask for Node's modules by their old names, which workerd does not know.
const NODE = ["buffer", "crypto", "events", "fs", "http", "os", "path", "stream", "url", "util", "zlib"];

const { outputFiles } = await build({
  entryPoints: [new URL("agents.mjs", import.meta.url).pathname],
  alias: Object.fromEntries(NODE.map((name) => [name, `node:${name}`])),
  bundle: true,
  conditions: ["workerd", "worker", "browser"],
  external: ["node:*", "cloudflare:*"],
  format: "esm",
  // Sub-agents are found by the names of their classes.
  keepNames: true,
  write: false,
});
const [port = "8787", storage] = process.argv.slice(2);
const miniflare = new Miniflare({
  compatibilityDate: "2026-01-01",
  compatibilityFlags: ["nodejs_compat", "experimental"],
  durableObjects: Object.fromEntries([...CLASSES, ...CHAT, ...MORE].map((name) => [name, { className: name, useSQLite: true }])),
  durableObjectsPersist: storage ?? false,
  modules: true,
  port: Number(port),
  script: outputFiles[0].text,
});
console.log(String(await miniflare.ready));
