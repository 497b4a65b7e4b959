// The agents of ../agents_app.py in the TypeScript SDK: as like as two languages allow.

import { Agent, callable, getAgentByName, getCurrentAgent, routeAgentRequest } from "agents";

export * from "./chat.mjs";
export * from "./more.mjs";

const query = (url) => new URL(url).searchParams;

// What @callable() does to a method. Plain JavaScript has no decorators.
function callables(cls, names, metadata = {}) {
  for (const name of names) callable(metadata)(cls.prototype[name], { kind: "method", name });
}

export class Counter extends Agent {
  initialState = { n: 0 };
  waiting = new Map();
  changed = [];
  closed = [];

  shouldConnectionBeReadonly(connection, { request }) {
    return query(request.url).has("readonly");
  }

  shouldSendProtocolMessages(connection, { request }) {
    return query(request.url).get("protocol") !== "off";
  }

  getConnectionTags(connection, { request }) {
    return (query(request.url).get("tags") ?? "").split(",").filter(Boolean);
  }

  onConnect(connection, { request }) {
    const refuse = query(request.url).get("refuse");
    if (refuse) connection.close(Number(refuse), "refused");
    else connection.send(`hello ${this.name}`);
  }

  onMessage(connection, message) {
    if (message === "raise") throw new Error("a handler that fails");
    connection.send(typeof message === "string" ? `echo:${message}` : message);
  }

  onClose(connection, code, reason) {
    this.closed.push([connection.id, code, reason]);
  }

  validateStateChange(state) {
    if (state.n < 0) throw new Error("n counts upwards");
  }

  onStateChanged(state, source) {
    this.changed.push([state.n, typeof source === "string" ? source : "connection"]);
  }

  add(by = 1) {
    this.setState({ n: this.state.n + by });
    return this.state.n;
  }

  get() {
    return this.state.n;
  }

  on_start() {}

  changes() {
    return this.changed;
  }

  closings() {
    return this.closed;
  }

  ping() {
    return "pong";
  }

  echo(...values) {
    return values.length === 1 ? values[0] : values;
  }

  nothing() {
    return null;
  }

  addNumbers(a, b) {
    return a + b;
  }

  add_numbers(a, b) {
    return a + b;
  }

  add_in_a_thread(by) {
    return this.add(by);
  }

  boom() {
    throw new Error("bad thing");
  }

  unserialisable() {
    return 10n;
  }

  restricted() {
    return "not for clients";
  }

  #gate(what) {
    if (!this.waiting.has(what)) {
      let open;
      this.waiting.set(what, { opened: new Promise((resolve) => (open = resolve)), open: () => open() });
    }
    return this.waiting.get(what);
  }

  async wait_for(what) {
    await this.#gate(what).opened;
    return what;
  }

  release(what) {
    const wasWaiting = this.waiting.has(what);
    this.#gate(what).open();
    return wasWaiting;
  }

  count_to(stream, n) {
    for (let i = 0; i < n; i += 1) stream.send({ i });
    stream.end("fin");
  }

  generate(stream, n) {
    for (let i = 0; i < n; i += 1) stream.send(i);
    stream.end();
  }

  fail_midway(stream) {
    stream.send(1);
    throw new Error("mid");
  }

  end_with_an_error(stream) {
    stream.send(1);
    stream.error("enough");
  }

  never_end(stream) {
    stream.send(1);
  }

  shout(text, without = []) {
    this.broadcast(text, without);
  }

  shout_bytes(values) {
    this.broadcast(new Uint8Array(values));
  }

  shoutTo(tag, text) {
    for (const connection of this.getConnections(tag)) connection.send(text);
  }

  who() {
    const { connection } = getCurrentAgent();
    return { id: connection.id, tags: [...connection.tags], uri: connection.uri };
  }

  connections() {
    return [...this.getConnections()].map((connection) => connection.id);
  }

  visit() {
    const { connection } = getCurrentAgent();
    connection.setState({ visits: (connection.state?.visits ?? 0) + 1 });
    return connection.state.visits;
  }

  close_me(code, reason) {
    getCurrentAgent().connection.close(code, reason);
  }

  describe() {
    const described = this.getCallableMethods();
    const of = (name) => ({
      description: described.get(name).description ?? null,
      streaming: Boolean(described.get(name).streaming),
    });
    return { add_numbers: of("add_numbers"), count_to: of("count_to") };
  }

  ambient() {
    const { agent, connection, request } = getCurrentAgent();
    return [agent === this, connection?.id, request ?? null];
  }

  async onRequest(request) {
    const url = new URL(request.url);
    if (url.pathname.endsWith("/state")) {
      if (request.method === "PUT") this.setState(await request.json());
      return Response.json(this.state);
    }
    if (url.pathname.endsWith("/raise")) throw new Error("kaboom: a secret of the server");
    if (url.pathname.endsWith("/next")) {
      this.next();
      return new Response("on");
    }
    if (url.pathname.endsWith("/stream")) return new Response(this.steps(), { headers: { "content-type": "text/plain" } });
    return Response.json({
      name: this.name,
      method: request.method,
      path: url.pathname,
      query: url.search.slice(1),
      headers: Object.fromEntries(request.headers),
      body: request.method === "POST" ? await request.json() : null,
    });
  }

  steps() {
    const { readable, writable } = new TransformStream();
    const writer = writable.getWriter();
    const encoder = new TextEncoder();
    (async () => {
      for (const text of ["one", "two", "three"]) {
        const seen = new Promise((resolve) => (this.next = resolve));
        await writer.write(encoder.encode(text));
        await seen;
      }
      await writer.close();
    })();
    return readable;
  }
}

callables(Counter, ["add", "changes", "closings", "ping", "echo", "nothing", "get", "add_in_a_thread", "boom"]);
callables(Counter, ["unserialisable", "wait_for", "release", "shout", "shout_bytes", "shoutTo", "who", "connections"]);
callables(Counter, ["visit", "close_me", "describe", "ambient"]);
callables(Counter, ["addNumbers", "add_numbers"], { description: "Adds two numbers" });
callables(Counter, ["count_to", "generate", "fail_midway", "end_with_an_error", "never_end"], { streaming: true });

export class Keeper extends Agent {
  ping() {
    return "pong";
  }
}

callables(Keeper, ["ping"]);

export class NoState extends Agent {}

export class AIAssistant extends Agent {}

export class Nameless extends Agent {
  static options = { sendIdentityOnConnect: false };
  initialState = { n: 0 };

  ping() {
    return "pong";
  }
}

callables(Nameless, ["ping"]);

export class Broken extends Agent {
  onConnect() {
    throw new Error("conn boom: a secret of the server");
  }
}

function deny(request) {
  if (query(request.url).get("token") === "deny") return new Response("no", { status: 401 });
}

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/mine") {
      const counter = await getAgentByName(env.Counter, query(request.url).get("user"));
      return counter.fetch(request);
    }
    const routed = await routeAgentRequest(request, env, { onBeforeConnect: deny, onBeforeRequest: deny });
    return routed ?? new Response("not ours", { status: 404 });
  },
};
