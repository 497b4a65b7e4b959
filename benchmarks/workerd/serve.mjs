// Serves bench.mjs with the TypeScript SDK on workerd: node serve.mjs port folder
//
// The packages are those of tests/clients/workerd.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const packages = new URL("../../tests/clients/workerd/", import.meta.url);
const require = createRequire(new URL("package.json", packages));
const { build } = require("esbuild");
const { Miniflare } = require("miniflare");

const NODE = ["buffer", "crypto", "events", "fs", "http", "os", "path", "stream", "url", "util", "zlib"];
const [port, folder] = process.argv.slice(2);

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL("bench.mjs", import.meta.url))],
  alias: Object.fromEntries(NODE.map((name) => [name, `node:${name}`])),
  bundle: true,
  conditions: ["workerd", "worker", "browser"],
  external: ["node:*", "cloudflare:*"],
  format: "esm",
  keepNames: true,
  nodePaths: [fileURLToPath(new URL("node_modules", packages))],
  write: false,
});
const miniflare = new Miniflare({
  compatibilityDate: "2026-01-01",
  compatibilityFlags: ["nodejs_compat", "experimental"],
  durableObjects: Object.fromEntries(
    ["Bench", "Shared"].map((className) => [className, { className, useSQLite: true }]),
  ),
  durableObjectsPersist: folder,
  modules: true,
  port: Number(port),
  script: outputFiles[0].text,
});
console.log(String(await miniflare.ready));
