// Evaluates expressions on workerd: node record.mjs < cases.json > answers.json
//
// What comes in is {name of a file: [case]}, what goes out {name: [answer]}. `cases.py` says what a case is.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(new URL("../../clients/workerd/", import.meta.url));
const { Miniflare } = require("miniflare");

const SHOWN = `
const PARTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];

function shown(value) {
  if (value === undefined) return { $: "undefined" };
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") return value;
  if (typeof value === "number") return Object.is(value, -0) ? { $: "-0" } : Number.isFinite(value) ? value : { $: String(value) };
  if (typeof value === "bigint") return { $: "bigint", of: String(value) };
  if (typeof value === "symbol") return { $: "symbol", of: String(value) };
  if (typeof value === "function") return { $: "function" };
  if (value instanceof Date) return { $: "Date", of: shown(value.getTime()) };
  if (value instanceof RegExp) return { $: "RegExp", of: String(value) };
  if (value instanceof Error) return { $: "Error", of: String(value) };
  if (value instanceof URL) return { $: "URL", of: value.href };
  if (value instanceof URLPattern) return Object.fromEntries(PARTS.map((part) => [part, value[part]]));
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return { $: value.constructor.name, of: [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
  }
  if (value instanceof Map || value instanceof Headers || value instanceof URLSearchParams || value instanceof FormData)
    return { $: value.constructor.name, of: [...value].map(([key, item]) => [shown(key), shown(item)]) };
  if (value instanceof Set) return { $: "Set", of: [...value].map(shown) };
  if (Array.isArray(value)) return Array.from(value, (item, n) => n in value ? shown(item) : { $: "hole" });
  if (typeof value[Symbol.iterator] === "function") return { $: "iterator", of: [...value].map(shown) };
  return Object.fromEntries(Object.keys(value).map((key) => [key, shown(value[key])]));
}

async function answer(make) {
  try {
    return shown(await make());
  } catch (error) {
    return { $: "error", name: error?.name, message: String(error?.message).split("\\\\n    at ")[0] };
  }
}
`;

function functionOf(code) {
  const lines = code.split("; ");
  const names = lines.map((line) => line.match(/^(\w+) = /)?.[1]).filter(Boolean);
  const declared = names.length ? `let ${[...new Set(names)].join(", ")}; ` : "";
  return `async () => { ${declared}${lines.slice(0, -1).map((line) => `${line}; `).join("")}return ${lines.at(-1)}; }`;
}

const files = JSON.parse(await text(process.stdin));
const made = {};
for (const [name, cases] of Object.entries(files)) {
  const miniflare = new Miniflare({
    compatibilityDate: "2026-04-01",
    modules: true,
    script: `${SHOWN}
      const CASES = [${cases.map(functionOf).join(",\n")}];
      export default { async fetch() {
        const answers = [];
        for (const make of CASES) answers.push(await answer(make));
        return Response.json(answers);
      } };`,
  });
  made[name] = await (await miniflare.dispatchFetch("http://recorded.test/")).json();
  await miniflare.dispose();
}
process.stdout.write(JSON.stringify(made));
