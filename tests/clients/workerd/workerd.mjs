// Serves a module with the TypeScript SDK on workerd. The packages are those of this folder.

import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { Miniflare } from "miniflare";

// Some packages ask for Node's modules by their old names, which workerd does not know.
const NODE = ["buffer", "crypto", "events", "fs", "http", "os", "path", "stream", "url", "util", "zlib"];

// Serve the file `entry` on `port` and return its address. `classes` are its Durable Objects, each bound under its name;
// `storage` is the folder that keeps them, if any does.
export async function serve(entry, classes, port, storage) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    alias: Object.fromEntries(NODE.map((name) => [name, `node:${name}`])),
    bundle: true,
    conditions: ["workerd", "worker", "browser"],
    external: ["node:*", "cloudflare:*"],
    format: "esm",
    // Sub-agents are found by the names of their classes.
    keepNames: true,
    nodePaths: [fileURLToPath(new URL("node_modules", import.meta.url))],
    write: false,
  });
  const miniflare = new Miniflare({
    compatibilityDate: "2026-01-01",
    compatibilityFlags: ["nodejs_compat", "experimental"],
    durableObjects: Object.fromEntries(classes.map((className) => [className, { className, useSQLite: true }])),
    durableObjectsPersist: storage ?? false,
    modules: true,
    port: Number(port),
    script: outputFiles[0].text,
  });
  return String(await miniflare.ready);
}
