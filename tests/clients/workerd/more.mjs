// The agents of ../more_app.py in the TypeScript SDK: schedules, the queue, fibers, sub-agents.

import { Agent, callable, getCurrentAgent } from "agents";

import { Gates } from "./script.mjs";

const query = (url) => new URL(url).searchParams;

function callables(cls, names) {
  for (const name of names) callable()(cls.prototype[name], { kind: "method", name });
}

// What of a schedule does not depend on when it was made.
const shape = ({ id, time, ...schedule }) => ({ ...schedule, id: typeof id, inSeconds: time - Math.floor(Date.now() / 1000) });
const plain = (value) => JSON.parse(JSON.stringify(value));

export class Timer extends Agent {
  gates = new Gates();
  log = [];

  note(payload, job) {
    this.log.push(["note", payload, job.callback]);
    this.broadcast(`ran ${JSON.stringify(payload)}`);
  }

  async slow(payload) {
    this.log.push(["slow", payload]);
    this.broadcast(`slow ${JSON.stringify(payload)}`);
    await this.gates.pass(payload);
    this.broadcast(`slow is over ${JSON.stringify(payload)}`);
  }

  failing(payload) {
    this.log.push(["failing", payload]);
    throw new Error("a job that fails");
  }

  onError(first, second) {
    this.broadcast(`error ${(second ?? first).message}`);
  }

  onMessage(connection, message) {
    connection.send(`echo:${message}`);
  }

  logged() {
    return this.log;
  }

  open(gate) {
    this.gates.open(gate);
  }

  ping() {
    return "pong";
  }

  // schedules

  async in_seconds(seconds, callback, payload, options) {
    const schedule = await this.schedule(seconds, callback, payload, options);
    this.last = schedule.id;
    return shape(schedule);
  }

  async at(milliseconds, callback, payload) {
    return shape(await this.schedule(new Date(Date.now() + milliseconds), callback, payload));
  }

  async cron(expression, callback, payload, options) {
    const { inSeconds, ...schedule } = shape(await this.schedule(expression, callback, payload, options));
    return { ...schedule, later: inSeconds > 0 };
  }

  async every(seconds, callback, payload) {
    const schedule = await this.scheduleEvery(seconds, callback, payload);
    this.last = schedule.id;
    return shape(schedule);
  }

  async same(...calls) {
    const ids = [];
    for (const [seconds, payload, options] of calls) ids.push((await this.schedule(seconds, "note", payload, options)).id);
    return ids.map((id) => ids.indexOf(id));
  }

  async same_every(...calls) {
    const ids = [];
    for (const [seconds, payload] of calls) ids.push((await this.scheduleEvery(seconds, "note", payload)).id);
    return ids.map((id) => ids.indexOf(id));
  }

  async same_cron(...calls) {
    const ids = [];
    for (const [cron, payload] of calls) ids.push((await this.schedule(cron, "note", payload)).id);
    return ids.map((id) => ids.indexOf(id));
  }

  async find(criteria = {}) {
    const { from, to, ...rest } = criteria;
    if (from !== undefined || to !== undefined) {
      rest.timeRange = {};
      if (from !== undefined) rest.timeRange.start = new Date(Date.now() + from * 1000);
      if (to !== undefined) rest.timeRange.end = new Date(Date.now() + to * 1000);
    }
    return (await this.listSchedules(rest)).map(({ payload }) => payload).sort();
  }

  async find_last() {
    const schedule = await this.getScheduleById(this.last);
    return schedule ? shape(schedule) : null;
  }

  async cancel_last() {
    return this.cancelSchedule(this.last);
  }

  async cancel(id) {
    return this.cancelSchedule(id);
  }

  // the queue

  async enqueue(callback, payloads, options) {
    const ids = [];
    for (const payload of payloads) ids.push(await this.queue(callback, payload, options));
    this.queued = ids;
    return ids.map((id) => [typeof id, ids.indexOf(id)]);
  }

  async enqueue_as(id, callback, payload) {
    return this.queue(callback, payload, { id });
  }

  async waiting(key, value) {
    return (await this.getQueues(key, value)).map(({ callback, payload }) => [callback, payload]);
  }

  async queued_item(index) {
    const item = await this.getQueue(this.queued[index]);
    return item ? { callback: item.callback, payload: item.payload, id: typeof item.id } : null;
  }

  async drop(index) {
    await this.dequeue(this.queued[index]);
  }

  async drop_all() {
    await this.dequeueAll();
  }

  async drop_all_of(callback) {
    await this.dequeueAllByCallback(callback);
  }

  // retries

  async tries(failures, options) {
    const attempts = [];
    try {
      await this.retry(async (attempt) => {
        attempts.push(attempt);
        if (attempt <= failures) throw new Error(`attempt ${attempt}`);
      }, options);
      return { attempts, error: null };
    } catch (error) {
      return { attempts, error: error.message };
    }
  }

  // fibers

  async fiber(name, gate) {
    return this.runFiber(name, async (fiber) => {
      fiber.stash({ step: 1 });
      this.broadcast(`fiber ${name} has an id: ${typeof fiber.id === "string"}, snapshot ${JSON.stringify(fiber.snapshot)}`);
      if (gate) await this.gates.pass(gate);
      return `result of ${name}`;
    });
  }

  async failing_fiber() {
    return this.runFiber("failing", async () => {
      throw new Error("a fiber that fails");
    });
  }

  // A managed fiber, with its receipt. It waits at the gate of its name.
  async start(name, options) {
    const receipt = await this.startFiber(name, async () => {
      this.broadcast(`started ${name}`);
      await this.gates.pass(name);
      if (name === "broken") throw new Error("a fiber that fails");
      this.broadcast(`ended ${name}`);
    }, options);
    this.fibers ??= [];
    if (!this.fibers.includes(receipt.fiberId)) this.fibers.push(receipt.fiberId);
    return { accepted: receipt.accepted, status: receipt.status, number: this.fibers.indexOf(receipt.fiberId) };
  }

  told(fiber) {
    if (!fiber) return null;
    const { name, status, snapshot, metadata, idempotencyKey, error, errorMessage } = fiber;
    return plain({ name, status, snapshot: snapshot ?? null, metadata: metadata ?? null, key: idempotencyKey ?? null, error: error?.message ?? error ?? errorMessage ?? null });
  }

  async inspect(number) {
    return this.told(await this.inspectFiber(this.fibers[number]));
  }

  async inspect_key(key) {
    return this.told(await this.inspectFiberByKey(key));
  }

  async list_fibers(criteria) {
    return (await this.listFibers(criteria)).map((fiber) => fiber.name).sort();
  }

  async cancel_fiber(number) {
    return this.cancelFiber(this.fibers[number]);
  }

  async forget_fibers() {
    return this.deleteFibers();
  }

  onFiberRecovered({ name, snapshot, recoveryReason }) {
    this.log.push(["recovered", name, snapshot, recoveryReason]);
  }

  // the end

  async end() {
    await this.destroy();
  }

  async onRequest(request) {
    if (new URL(request.url).pathname.endsWith("/destroy")) {
      this.ctx.waitUntil(this.destroy());
      return new Response("gone");
    }
    return Response.json({ log: this.log });
  }
}

callables(Timer, ["logged", "open", "ping", "in_seconds", "at", "cron", "every", "same", "same_every", "same_cron", "find"]);
callables(Timer, ["find_last", "cancel_last", "cancel", "enqueue", "enqueue_as", "waiting", "queued_item", "drop", "drop_all"]);
callables(Timer, ["drop_all_of", "tries", "fiber", "failing_fiber", "start", "inspect", "inspect_key", "list_fibers"]);
callables(Timer, ["cancel_fiber", "forget_fibers", "end"]);

export class Child extends Agent {
  initialState = { n: 0 };
  notes = [];

  onConnect(connection) {
    connection.send(`hello from ${this.name}`);
  }

  onMessage(connection, message) {
    connection.send(typeof message === "string" ? `child:${message}` : message);
  }

  onClose(connection, code) {
    this.notes.push(["closed", code]);
  }

  onRequest(request) {
    const url = new URL(request.url);
    return Response.json({ name: this.name, path: url.pathname, query: url.search.slice(1), header: request.headers.get("x-parent") });
  }

  add(by) {
    this.setState({ n: this.state.n + by });
    return this.state.n;
  }

  ping() {
    return "pong";
  }

  family() {
    return { parent: this.parentPath, self: this.selfPath };
  }

  who() {
    const { connection } = getCurrentAgent();
    return { id: connection.id, uri: new URL(connection.uri).pathname };
  }

  shout(text) {
    this.broadcast(text);
  }

  async later(seconds, payload) {
    await this.schedule(seconds, "note", payload);
  }

  note(payload) {
    this.broadcast(`child ran ${payload}`);
  }

  noted() {
    return this.notes;
  }

  close_me(code) {
    getCurrentAgent().connection.close(code, "because");
  }

  async call_parent(by) {
    const parent = await this.parentAgent(Parent);
    return parent.add(by);
  }
}

callables(Child, ["add", "ping", "family", "who", "shout", "later", "noted", "close_me", "call_parent"]);

export class Parent extends Agent {
  initialState = { n: 100 };

  onBeforeSubAgent(request, { className, name }) {
    const asked = query(request.url);
    if (asked.has("status")) return new Response("no", { status: Number(asked.get("status")) });
    if (asked.has("mark")) {
      const headers = new Headers(request.headers);
      headers.set("x-parent", `${className} ${name}`);
      return new Request(request, { headers });
    }
  }

  onConnect(connection) {
    connection.send(`hello from the parent`);
  }

  add(by) {
    this.setState({ n: this.state.n + by });
    return this.state.n;
  }

  ping() {
    return "pong";
  }

  shout(text) {
    this.broadcast(text);
  }

  connections() {
    return [...this.getConnections()].map((connection) => connection.id);
  }

  async tell_child(name, by) {
    const child = await this.subAgent(Child, name);
    return child.add(by);
  }

  has(name) {
    return this.hasSubAgent(Child, name);
  }

  list() {
    return this.listSubAgents(Child).map(({ className, name }) => [className, name]);
  }

  async forget(name) {
    await this.deleteSubAgent(Child, name);
  }

  restart(name) {
    this.abortSubAgent(Child, name, new Error("restart"));
  }
}

callables(Parent, ["add", "ping", "shout", "connections", "tell_child", "has", "list", "forget", "restart"]);
