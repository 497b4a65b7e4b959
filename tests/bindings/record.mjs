// Runs plays against the bindings of workerd: node record.mjs < plays.json > answers.json
//
// What comes in is {name of a play: steps}, what goes out {name: answers}. `plays.py` says what a step is.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(new URL("../clients/workerd/", import.meta.url));
const { Miniflare } = require("miniflare");

const script = `
import { WorkflowEntrypoint } from "cloudflare:workers";

const FIELDS = {
  HeadResult: ["key", "size", "etag", "httpEtag", "checksums", "httpMetadata", "customMetadata", "range", "storageClass", "version", "uploaded"],
  R2MultipartUpload: ["key", "uploadId"],
};
FIELDS.GetResult = [...FIELDS.HeadResult, "bodyUsed"];
const VOLATILE = new Set(["version", "uploaded", "uploadId", "duration", "served_by", "served_by_region", "served_by_primary", "size_after", "rows_read", "rows_written", "metrics", "timings", "total_attempts", "cursor", "expiration", "oldestMessageTimestamp", "timestamp"]);

function shown(value, key = "") {
  if (value === undefined) return { $: "undefined" };
  if (VOLATILE.has(key) && value !== null) return { $: value instanceof Date ? "date" : typeof value };
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : { $: String(value) };
  if (typeof value === "string") return value.length > 300 ? { $: "text", length: value.length, start: value.slice(0, 40) } : value;
  if (typeof value === "function") return { $: "function" };
  if (value instanceof Date) return { $: "date", at: value.getTime() };
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return { $: "bytes", length: bytes.length, hex: [...bytes.slice(0, 40)].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
  }
  if (value instanceof ReadableStream) return { $: "stream" };
  if (value instanceof Headers) return { $: "headers", entries: [...value] };
  if (value instanceof Map) return { $: "map", entries: [...value].map(([name, item]) => [name, shown(item)]) };
  if (Array.isArray(value)) return value.length > 20 ? { $: "list", length: value.length, start: shown(value[0]) } : value.map((item) => shown(item));
  const name = value.constructor?.name ?? "Object";
  if (name === "Checksums" || typeof value.toJSON === "function") return shown(value.toJSON());
  const made = {};
  for (const field of FIELDS[name] ?? Object.keys(value)) if (value[field] !== undefined) made[field] = shown(value[field], field);
  if ("partNumber" in made) made.etag = { $: typeof made.etag };
  return made;
}

function meant(value, named) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((item) => meant(item, named));
  switch (value.$) {
    case "undefined": return undefined;
    case "bytes": return new Uint8Array(value.bytes).buffer;
    case "view": return new Uint8Array(value.bytes);
    case "zeros": return new ArrayBuffer(value.length);
    case "text": return value.of.repeat(value.times);
    case "date": return new Date(value.at);
    case "now": return new Date(Date.now() + value.ms);
    case "unix": return Math.floor(Date.now() / 1000) + value.seconds;
    case "number": return Number(value.of);
    case "stream": return new Response(value.of).body;
    case "headers": return new Headers(value.of);
    case "ref": return value.of.split(".").reduce((found, part) => found[part], named);
    case "map": return new Map(value.of);
    case "symbol": return Symbol("s");
    case "function": return () => 1;
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, meant(item, named)]));
}

async function answer(step, named) {
  try {
    const parts = step.do.split(".");
    const last = parts.pop();
    const target = parts.reduce((found, part) => found[part], named);
    const value = step.with === null ? target[last] : await target[last](...step.with.map((item) => meant(item, named)));
    if (step.as) named[step.as] = value;
    return step.as && step.quiet ? { $: "kept" } : shown(value);
  } catch (error) {
    return { $: "error", name: error?.name, message: String(error?.message).split("\\n    at ")[0] };
  }
}

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    return await play(event, step);
  }
}

export default {
  async fetch(request, env) {
    const named = { ...env };
    const answers = [];
    for (const step of await request.json()) answers.push(await answer(step, named));
    return Response.json(answers);
  },
  async queue() {},
};
`;

const plays = JSON.parse(await text(process.stdin));
const made = {};
for (const [name, steps] of Object.entries(plays)) {
  const miniflare = new Miniflare({
    compatibilityDate: "2026-04-01",
    d1Databases: ["DB"],
    kvNamespaces: ["KV"],
    modules: true,
    queueConsumers: { jobs: { maxBatchSize: 100, maxBatchTimeout: 60 } },
    queueProducers: { QUEUE: "jobs" },
    r2Buckets: ["R2"],
    ratelimits: { LIMIT: { simple: { limit: 2, period: 60 } } },
    script: script.replace(/export class Flow[\s\S]*?\n}\n/, ""),
    handleRuntimeStdio: (out, err) => err.pipe(process.stderr),
  });
  const response = await miniflare.dispatchFetch("http://play/", { method: "POST", body: JSON.stringify(steps) });
  made[name] = await response.json();
  await miniflare.dispose();
}
console.log(JSON.stringify(made));
