// Fills a state folder as `wrangler dev` does, by miniflare: node make_wrangler_state.mjs FOLDER
import { createRequire } from "node:module";
const require = createRequire(new URL("../wrangler/package.json", import.meta.url));
const { Miniflare } = require("miniflare");
const root = process.argv[2];
const script = `
import { DurableObject } from "cloudflare:workers";
export class Sql extends DurableObject {
  async alarm() {}
  async fill(tag) {
    const s = this.ctx.storage;
    s.sql.exec("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT, data BLOB)");
    s.sql.exec("INSERT INTO notes (text, data) VALUES (?, ?)", tag, new Uint8Array([1,2,3]).buffer);
    await s.put("plain", "text");
    await s.put("number", 42.5);
    await s.put("int", 7);
    await s.put("object", { a: [1, null, true], when: new Date(86400000), map: new Map([["k", new Set([1])]]) });
    await s.put("undef", { u: undefined });
    await s.put("bytes", new Uint8Array([0, 255]));
    await s.put("big", 12345678901234567890n);
    await s.put("unicode", "żółć 🎉");
    await s.setAlarm(4000000000000);
    return this.ctx.id.toString();
  }
}
export class Plain extends DurableObject {
  async fill() { await this.ctx.storage.put("n", 1); await this.ctx.storage.put("deep", {x: "y"}); return this.ctx.id.toString(); }
}
export default { async fetch(request, env) {
  await env.KV.put("text", "hello"); await env.KV.put("meta", "v", { metadata: { a: 1 } });
  await env.KV.put("expires", "soon", { expirationTtl: 3600 * 24 * 365 * 20 });
  await env.KV.put("binary/ü", new Uint8Array([0, 1, 255]));
  await env.KV.put("empty", "");
  await env.BUCKET.put("dir/file.txt", "content", { httpMetadata: { contentType: "text/plain", cacheExpiry: new Date(1000000) }, customMetadata: { who: "me" } });
  await env.BUCKET.put("sha", "abc", { sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" });
  await env.BUCKET.put("empty", new Uint8Array(0));
  const up = await env.BUCKET.createMultipartUpload("multi", { customMetadata: { m: "1" }, httpMetadata: { contentType: "x/y" } });
  const big = new Uint8Array(5 * 1024 * 1024).fill(65);
  const p1 = await up.uploadPart(1, big); const p2 = await up.uploadPart(2, "tail");
  await up.complete([p1, p2]);
  const open = await env.BUCKET.createMultipartUpload("unfinished"); await open.uploadPart(1, "x");
  await env.DB.exec("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)");
  await env.DB.prepare("INSERT INTO people (name) VALUES (?)").bind("Ann").run();
  const ids = {};
  ids.named = await env.SQL.get(env.SQL.idFromName("ann")).fill("ann");
  ids.unique = await env.SQL.get(env.SQL.newUniqueId()).fill("nobody");
  ids.plain = await env.PLAIN.get(env.PLAIN.idFromName("bob")).fill();
  return Response.json(ids);
} };`;
const v3 = root + "/v3/";
const mf = new Miniflare({
  name: "w", modules: true, script, compatibilityDate: "2026-01-01",
  kvNamespaces: { KV: "abc123" }, r2Buckets: { BUCKET: "files" }, d1Databases: { DB: "db-id" },
  durableObjects: { SQL: { className: "Sql", useSQLite: true }, PLAIN: { className: "Plain" } },
  kvPersist: v3 + "kv", r2Persist: v3 + "r2", d1Persist: v3 + "d1", durableObjectsPersist: v3 + "do", cachePersist: v3 + "cache",
});
const r = await mf.dispatchFetch("http://localhost/"); console.log(await r.text());
await mf.dispose();
