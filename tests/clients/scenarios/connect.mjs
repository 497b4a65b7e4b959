// Who answers: identity, readiness, connection ids, tags, paths, and connections that are refused.

import { kinds, outcome, until, within } from "../stage.mjs";

export async function identity(stage) {
  const client = stage.client();
  const before = client.identified;
  await within(client.ready, "ready");
  return { before, after: client.identified, name: client.name, agent: client.agent, identities: client.record.identities };
}

export async function identity_of_many_capitals(stage) {
  const client = await stage.ready({ agent: "AIAssistant" });
  return { agent: client.agent, url: new URL(client.url).pathname };
}

export async function default_name(stage) {
  const client = await stage.ready({ name: "" });
  return { name: client.name, path: new URL(client.url).pathname };
}

export async function frames_on_connect(stage) {
  const client = await stage.ready();
  await until(() => client.heard.length >= 4, "four frames");
  return kinds(client.heard);
}

export async function state_is_there_when_ready(stage) {
  const first = await stage.ready();
  first.setState({ n: 41 });
  await first.call("add", [1]);
  const client = await stage.ready();
  return { state: client.state, updates: client.updates, follows: JSON.parse(client.heard[0]).stateFollows };
}

export async function no_state(stage) {
  const client = await stage.ready({ agent: "NoState" });
  await until(() => client.heard.length >= 2, "two frames");
  return { state: client.state ?? null, kinds: kinds(client.heard), identity: JSON.parse(client.heard[0]) };
}

export async function no_identity(stage) {
  const client = stage.client({ agent: "Nameless" });
  await until(() => client.heard.length >= 2, "two frames");
  const answered = await client.call("ping");
  return { kinds: kinds(client.heard).slice(0, 2), identified: client.identified, answered };
}

export async function mcp_frame(stage) {
  const client = await stage.ready();
  const frame = await until(() => client.heard.map(read).find((f) => f?.type === "cf_agent_mcp_servers"), "the MCP frame");
  return frame;
}

export async function protocol_less_connection(stage) {
  const quiet = stage.client({ query: { protocol: "off" } });
  await until(() => quiet.heard.length, "a frame");
  const other = await stage.ready();
  other.setState({ n: 3 });
  await other.call("shout", ["all"]);
  await until(() => quiet.heard.includes("all"), "the broadcast");
  const sum = await quiet.call("add", [1]);
  return { kinds: kinds(quiet.heard), sum };
}

export async function connection_id_is_kept(stage) {
  const client = await stage.ready({ id: "device-7" });
  const first = await client.call("who");
  client.reconnect();
  await until(() => client.record.opens >= 2, "the second connection");
  const second = await client.call("who");
  return { asked: client.id, first: first.id, second: second.id };
}

export async function custom_query(stage) {
  const client = await stage.ready({ query: { colour: "blue & green", none: null } });
  const { uri } = await client.call("who");
  const query = new URL(uri).searchParams;
  return { colour: query.get("colour"), none: query.has("none"), pk: query.get("_pk") === client.id };
}

export async function query_from_a_function(stage) {
  let count = 0;
  const client = await stage.ready({ query: async () => ({ token: `t${++count}` }) });
  const token = async () => new URL((await client.call("who")).uri).searchParams.get("token");
  const first = await token();
  client.reconnect();
  await until(() => client.record.opens >= 2, "the second connection");
  return [first, await token()];
}

export async function path_after_the_name(stage) {
  const client = await stage.ready({ path: "rooms/7" });
  const { uri } = await client.call("who");
  return { name: client.name, path: new URL(uri).pathname };
}

export async function tags(stage) {
  const client = await stage.ready({ id: "tagged", query: { tags: "red,tagged,blue" } });
  const other = await stage.ready({ query: { tags: "red" } });
  await client.call("shoutTo", ["blue", "to blue"]);
  await client.call("shoutTo", ["red", "to red"]);
  await until(() => other.heard.includes("to red"), "the tagged message");
  const heard = (c) => c.heard.filter((frame) => String(frame).startsWith("to "));
  return { tags: (await client.call("who")).tags, client: heard(client), other: heard(other) };
}

export async function too_many_tags(stage) {
  const socket = stage.socket(`/agents/counter/${stage.name}?tags=${"abcdefghijkl".split("").join(",")}`);
  const [code, reason] = await within(socket.closed, "the close");
  return { code, reason, error: Object.keys(JSON.parse(socket.frames[0])) };
}

export async function base_path(stage) {
  const client = await stage.ready({ name: "ignored", basePath: "mine", query: { user: "ada" } });
  return { name: client.name, agent: client.agent, path: new URL(client.url).pathname, value: await client.call("add", [1]) };
}

export async function identity_change(stage) {
  let user = "ada";
  const client = await stage.ready({ basePath: "mine", query: async () => ({ user }) });
  user = "bob";
  client.reconnect();
  await until(() => client.record.changes.length, "the change");
  return { changes: client.record.changes, name: client.name };
}

export async function subprotocol(stage) {
  const client = await stage.ready({ protocols: ["v2.example", "v1.example"] });
  return client.protocol;
}

export async function odd_names(stage) {
  const seen = {};
  for (const name of ["a b", "a%20b", "é", "日本語", "a.b~c_d-e", "..%2f..", "%00", "x".repeat(300), "UPPER", "'\"<>"]) {
    const client = await stage.ready({ name });
    seen[name.length > 50 ? name.length : name] = client.name.length > 50 ? client.name.length : client.name;
    client.close();
  }
  return seen;
}

export async function unknown_agent(stage) {
  return within(stage.socket(`/agents/nothing/${stage.name}`).opened, "the refusal");
}

export async function wrong_case(stage) {
  return within(stage.socket(`/agents/Counter/${stage.name}`).opened, "the refusal");
}

export async function upgrade_denied(stage) {
  return within(stage.socket(`/agents/counter/${stage.name}?token=deny`).opened, "the refusal");
}

export async function denied_client_keeps_trying(stage) {
  const client = stage.client({ query: { token: "deny" }, maxRetries: 3 });
  await until(() => client.record.connectionErrors.length || client.retryCount >= 3, "three tries");
  return { opens: client.record.opens, identified: client.identified, call: await outcome(client.call("add", [1], { timeout: 300 })) };
}

export async function error_while_connecting(stage) {
  const socket = stage.socket(`/agents/broken/${stage.name}`);
  const opened = await socket.opened;
  const [code, reason] = await within(socket.closed, "the close");
  const last = socket.frames.at(-1);
  return { opened, code, reason, keys: Object.keys(JSON.parse(last)), stack: /File "|Traceback/.test(last) };
}

function read(frame) {
  try {
    return JSON.parse(frame);
  } catch {
    return undefined;
  }
}
