// Runs plays against the bindings of workerd: node record.mjs < plays.json > answers.json
//
// What comes in is {name of a play: steps}, what goes out {name: answers}. `plays.py` says what a step is.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(new URL("../clients/workerd/", import.meta.url));
const { Miniflare } = require("miniflare");

const script = `
import { DurableObject, WorkflowEntrypoint } from "cloudflare:workers";
import { NonRetryableError } from "cloudflare:workflows";
import { EmailMessage } from "cloudflare:email";

const FIELDS = {
  HeadResult: ["key", "size", "etag", "httpEtag", "checksums", "httpMetadata", "customMetadata", "range", "storageClass", "version", "uploaded"],
  R2MultipartUpload: ["key", "uploadId"],
};
FIELDS.GetResult = [...FIELDS.HeadResult, "bodyUsed"];
const VOLATILE = new Set(["version", "uploaded", "uploadId", "duration", "served_by", "served_by_region", "served_by_primary", "size_after", "rows_read", "rows_written", "metrics", "timings", "total_attempts", "messageId", "variants", "cursor", "expiration", "oldestMessageTimestamp", "timestamp"]);

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
  if (value instanceof Set) return { $: "set", items: [...value].map((item) => shown(item)) };
  if (value instanceof Error) return { $: "an error", name: value.name, message: value.message };
  if (typeof value === "bigint") return { $: "bigint", of: String(value) };
  if (value instanceof Map) return { $: "map", entries: [...value].map(([name, item]) => [name, shown(item)]) };
  if (Array.isArray(value)) return value.length > 20 ? { $: "list", length: value.length, start: shown(value[0]) } : value.map((item) => shown(item));
  const name = value.constructor?.name ?? "Object";
  if (name === "Checksums" || typeof value.toJSON === "function") return shown(value.toJSON());
  const made = {};
  for (const field of FIELDS[name] ?? Object.keys(value)) if (value[field] !== undefined && field !== "binding") made[field] = shown(value[field], field);
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
    case "file": return new Response(Uint8Array.from(atob(value.of), (letter) => letter.charCodeAt(0))).body;
    case "headers": return new Headers(value.of);
    case "ref": return value.of.split(".").reduce((found, part) => found[part], named);
    case "map": return new Map(value.of);
    case "set": return new Set(value.of);
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

// A workflow whose params say what it does; see flow.py, which does the same.
export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const made = [];
    for (const op of event.payload?.program ?? []) {
      try {
        made.push(await this.one(op, event, step));
      } catch (error) {
        if (!op.caught) throw error;
        made.push(error.name + ": " + error.message);
      }
    }
    return made;
  }

  async one(op, event, step) {
    switch (op.op) {
      case "event": return { payload: event.payload.about, instanceId: event.instanceId, isDate: event.timestamp instanceof Date };
      case "sleep": return await step.sleep(op.name, op.for) ?? "slept";
      case "until": return await step.sleepUntil(op.name, Date.now() + op.ms) ?? "slept";
      case "wait": {
        const found = await step.waitForEvent(op.name, { type: op.type, ...(op.timeout === undefined ? {} : { timeout: op.timeout }) });
        return { payload: found.payload, type: found.type };
      }
      case "throw": throw new Error(op.message);
      case "do": {
        const work = async (ctx) => {
          if (op.fails && ctx.attempt <= op.fails) throw new Error(op.message ?? "no");
          if (op.final !== undefined) throw new NonRetryableError(op.final);
          if (op.hangs) await new Promise(() => {});
          if (op.context) return { step: ctx.step, attempt: ctx.attempt };
          if (op.code) return () => 1;
          return op.large ? "a".repeat(op.large) : op.value;
        };
        return op.config === undefined ? await step.do(op.name, work) : await step.do(op.name, op.config, work);
      }
    }
  }
}

// What the handler of queues has seen since it was last asked, in order of names and attempts.
const log = [];

async function handled() {
  for (let quiet = 0, count = -1; quiet < 8; quiet++) {
    if (log.length !== count) [count, quiet] = [log.length, 0];
    await new Promise((done) => setTimeout(done, 150));
  }
  return log.splice(0).map((one) => JSON.stringify(one)).sort();
}

async function until(instance, wanted) {
  if (wanted === "waiting") {
    // Here an instance that waits says that it runs.
    await new Promise((done) => setTimeout(done, 500));
    const { status } = await instance.status();
    return { status: status === "running" ? "waiting" : status, output: null };
  }
  for (let turn = 0; turn < 600; turn++) {
    const { status, output, error } = await instance.status();
    if (status === wanted) return { status, output, error };
    await new Promise((done) => setTimeout(done, 20));
  }
  return await instance.status();
}

async function counted(database, sql, ...values) {
  const { meta } = await database.prepare(sql).bind(...values).run();
  return [meta.rows_read, meta.rows_written];
}

async function pictured(result) {
  const { width, height, format } = await bindings.IMAGES.info(result.image());
  return { contentType: result.contentType(), width, height, format };
}

async function made(transforms, output, content) {
  let image = bindings.IMAGES.input(content);
  for (const transform of transforms) image = image.transform(transform);
  return await pictured(await image.output(output));
}

function codeOf({ date, main, flags, says, fails, modules, alone, env }) {
  if (fails === "undefined") return undefined;
  const answer = "Response.json({ says: " + JSON.stringify(says) + ", env: Object.keys(env).sort(), who: this?.ctx?.props?.who ?? null })";
  const body = alone ? "await fetch('http://elsewhere.example/')" : fails === "fetch" ? "throw new Error('no')" : "return " + answer;
  const lines = [
    "import { WorkerEntrypoint } from 'cloudflare:workers';",
    fails === "top" ? "throw new Error('no');" : "",
    fails === "syntax" ? "export default {{" : "",
    "export class Named extends WorkerEntrypoint { async fetch() { const env = this.env; " + body + " } }",
    fails === "handler" ? "export default { scheduled() {} }" : "export default { async fetch(request, env) { " + body + " } }",
  ];
  return {
    ...(date === null ? {} : { compatibilityDate: date }),
    ...(main === null ? {} : { mainModule: main + ".js" }),
    ...(flags === undefined ? {} : { compatibilityFlags: flags }),
    ...(modules === null ? {} : { modules: modules ?? { "entry.js": lines.join("\\n") } }),
    ...(env === undefined ? {} : { env }),
    ...(alone ? { globalOutbound: null } : {}),
  };
}

async function loaded(id, code) {
  const worker = bindings.LOADER.get(id, () => {
    if (code.fails === "callback") throw new Error("no code");
    return codeOf(code);
  });
  const options = code.props === undefined ? undefined : { props: code.props };
  return await (await worker.getEntrypoint(code.entrypoint, options).fetch("http://below/")).json();
}

const helpers = {
  counted,
  handled,
  keys: (value) => Object.keys(value),
  loaded,
  kind: (value) => typeof value,
  made,
  pictured,
  sent: (binding, from, to, raw) => binding.send(new EmailMessage(from, to, raw)),
  until,
};
let bindings;

// What the worker has seen of an email, and what it was told when it did something with it.
let seen = [];
let program = [];

async function does(message, op) {
  switch (op.op) {
    case "see": {
      const raw = await new Response(message.raw).text();
      const { from, to, rawSize } = message;
      return { from, to, rawSize, length: raw.length, subject: message.headers.get("subject"), two: message.headers.get("X-Two") };
    }
    case "reject": return message.setReject(op.reason);
    case "forward": return await message.forward(op.to, op.headers && new Headers(op.headers));
    case "reply": return await message.reply(new EmailMessage(op.from, op.to, op.raw));
    case "throw": throw new Error(op.message);
  }
}

// Calls that begin with "storage" are made in an object.
export class Box extends DurableObject {
  async play(steps) {
    const named = { storage: this.ctx.storage };
    const answers = [];
    for (const step of steps) answers.push(await answer(step, named));
    return JSON.stringify(answers);
  }

  async alarm() {}
}

export default {
  async fetch(request, env) {
    const { BOX, ...others } = env;
    bindings = others;
    const named = { ...others, ...helpers };
    const answers = [];
    const steps = await request.json();
    if (!Array.isArray(steps)) {
      [program, seen] = [steps.program, []];
      return new Response();
    }
    if (steps.length === 0) return Response.json(seen);
    if (steps[0].do.startsWith("storage")) return new Response(await BOX.get(BOX.idFromName("box")).play(steps));
    for (const step of steps) answers.push(await answer(step, named));
    return Response.json(answers);
  },
  async email(message) {
    for (const op of program) {
      try {
        seen.push(shown(await does(message, op)));
      } catch (error) {
        seen.push({ $: "error", name: error.name, message: error.message });
        if (op.op === "throw") throw error;
      }
    }
  },
  async queue(batch) {
    if (batch.queue === "jobs") return;
    let fault;
    for (const message of batch.messages) {
      log.push([batch.queue, message.body.name, message.attempts]);
      for (const word of batch.queue === "work" ? message.body.does : []) {
        if (word === "throw") fault = new Error("no");
        else if (word.endsWith("All")) batch[word]();
        else message[word]();
      }
    }
    if (fault) throw fault;
  },
};
`;

const post = (miniflare, path, body) => miniflare.dispatchFetch("http://play" + path, { method: "POST", body });

async function arrive(miniflare, [query, message, program]) {
  await post(miniflare, "/", JSON.stringify({ program }));
  const response = await post(miniflare, "/cdn-cgi/handler/email?" + query, message);
  const told = (await response.text()).split("\n")[0];
  const seen = await (await post(miniflare, "/", "[]")).json();
  return { status: response.status, text: response.status === 500 ? "" : told, seen };
}

const plays = JSON.parse(await text(process.stdin));
const made = {};
for (const [name, steps] of Object.entries(plays)) {
  const miniflare = new Miniflare({
    compatibilityDate: "2026-04-01",
    analyticsEngineDatasets: { POINTS: { dataset: "points" } },
    d1Databases: ["DB"],
    durableObjects: { BOX: { className: "Box", useSQLite: true } },
    email: {
      send_email: [
        { name: "MAIL" },
        { name: "ONE", destination_address: "b@x.com" },
        { name: "SOME", allowed_destination_addresses: ["b@x.com", "c@x.com"] },
        { name: "BY", allowed_sender_addresses: ["a@x.com"] },
      ],
    },
    hyperdrives: {
      MY: "mysql://me:p%40ss%2Fword@db.example.com/shop%20one",
      PG: "postgres://user:password@localhost:5433/name",
    },
    images: { binding: "IMAGES" },
    kvNamespaces: ["KV"],
    modules: true,
    pipelines: { PIPE: "records" },
    queueConsumers: {
      dead: { maxBatchTimeout: 0 },
      jobs: { maxBatchSize: 100, maxBatchTimeout: 60 },
      work: { maxBatchSize: 10, maxBatchTimeout: 0, maxRetries: 2, deadLetterQueue: "dead" },
    },
    queueProducers: { QUEUE: "jobs", WORK: "work" },
    r2Buckets: ["R2"],
    ratelimits: { LIMIT: { namespace_id: "1", simple: { limit: 2, period: 60 } } },
    script,
    secretsStoreSecrets: {
      NOWHERE: { store_id: "s", secret_name: "nowhere" },
      SECRET: { store_id: "s", secret_name: "known" },
    },
    unsafeTriggerHandlers: true,
    versionMetadata: "VERSION",
    workerLoaders: { LOADER: {} },
    workflows: { FLOW: { name: "flow", className: "Flow" } },
    handleRuntimeStdio: (out, err) => err.pipe(process.stderr),
  });
  if (steps[0].do === "arrive") {
    made[name] = [];
    for (const step of steps) made[name].push(await arrive(miniflare, step.with));
  } else {
    if (name === "secrets") await (await miniflare.getSecretsStoreSecretAPI("SECRET"))().create("what nobody knows");
    made[name] = await (await post(miniflare, "/", JSON.stringify(steps))).json();
  }
  await miniflare.dispose();
}
console.log(JSON.stringify(made));
