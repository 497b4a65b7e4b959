// What is not protocol: text, bytes, broadcasts, closing.

import { until, within } from "../stage.mjs";

const after = (client, count) => until(() => client.heard.length >= count, `${count} frames`);

export async function text_message(stage) {
  const client = await stage.ready();
  await after(client, 4);
  const start = client.heard.length;
  const sent = ["hi", "", "{", "[1]", "7", "null", '"x"', '{"type":"other"}', '{"type":"cf_agent_state"}', '{"type":"rpc","id":"1"}', "é😀"];
  for (const text of sent) client.send(text);
  await after(client, start + sent.length);
  return client.heard.slice(start).map((frame, i) => frame === `echo:${sent[i]}`);
}

export async function binary_message(stage) {
  const client = await stage.ready();
  await after(client, 4);
  const start = client.heard.length;
  client.send(new Uint8Array([0, 1, 254, 255]));
  client.send(new Uint8Array([]));
  client.send(new Uint8Array(1_000_000).fill(7));
  await after(client, start + 3);
  const [small, empty, large] = client.heard.slice(start).map(({ bytes }) => bytes);
  return { small, empty, large: [large.length, large.every((byte) => byte === 7)] };
}

export async function broadcast_with_exclusions(stage) {
  const [a, b, c] = await Promise.all([stage.ready({ id: "a" }), stage.ready({ id: "b" }), stage.ready({ id: "c" })]);
  await a.call("shout", ["not to b", ["b"]]);
  await a.call("shout", ["to all"]);
  const clients = [a, b, c];
  await until(() => clients.every((client) => client.heard.includes("to all")), "the broadcast");
  return clients.map((client) => client.heard.filter((frame) => ["not to b", "to all"].includes(frame)));
}

export async function broadcast_of_bytes(stage) {
  const [a, b] = [await stage.ready(), await stage.ready()];
  await a.call("shout_bytes", [[1, 2, 3]]);
  const find = (client) => client.heard.find((frame) => frame.bytes);
  await until(() => find(b), "the bytes");
  return [find(a), find(b)];
}

export async function handler_that_raises(stage) {
  const client = await stage.ready();
  client.send("raise");
  client.send("still here");
  await until(() => client.heard.includes("echo:still here"), "the echo");
  return { open: client.readyState === client.OPEN, closes: client.closes };
}

export async function close_is_told(stage) {
  const watcher = await stage.ready();
  const leaver = stage.socket(`/agents/counter/${stage.name}?_pk=leaver`);
  await until(() => leaver.frames.length >= 4, "the leaver's frames");
  const before = await watcher.call("connections");
  leaver.close(4321, "gone fishing");
  const [code] = await within(leaver.closed, "the close");
  let told = [];
  for (let tries = 0; !told.length && tries < 500; tries += 1) told = await watcher.call("closings");
  return { before: before.length, answered: code, told, left: (await watcher.call("connections")).length };
}

export async function connection_state(stage) {
  const client = await stage.ready();
  return [await client.call("visit"), await client.call("visit"), await (await stage.ready()).call("visit")];
}

export async function same_id_twice(stage) {
  const [old, young] = [await stage.ready({ id: "twin" }), await stage.ready({ id: "twin" })];
  old.close();
  young.send("anyone?");
  await until(() => young.heard.includes("echo:anyone?"), "the echo");
  return { open: young.readyState === young.OPEN };
}
