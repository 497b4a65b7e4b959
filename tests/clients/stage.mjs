// What a scenario works with: clients that remember what they heard, raw sockets, waiting, meeting points.

import { AgentClient, agentFetch } from "agents/client";
import WebSocket from "ws";

const PATIENCE_MS = 15_000;

export class Stage {
  #tell;
  #clients = [];
  #sockets = [];
  #endings = [];
  #waiting = new Map();

  constructor({ name, base, args, tell }) {
    this.name = args.name ?? name.replaceAll("_", "-");
    this.base = base;
    this.host = new URL(base).host;
    this.args = args;
    this.#tell = tell;
  }

  // An official client. `heard` is every frame, `updates` every state update with its source.
  client({ agent = "Counter", name = this.name, ...options } = {}) {
    const heard = [];
    const updates = [];
    const closes = [];
    const record = { identities: [], changes: [], stateErrors: [], connectionErrors: [], opens: 0 };
    const client = new AgentClient({
      agent,
      name,
      host: this.host,
      WebSocket,
      minReconnectionDelay: 20,
      maxReconnectionDelay: 100,
      onStateUpdate: (state, source) => updates.push([state, source]),
      onStateUpdateError: (error) => record.stateErrors.push(error),
      onIdentity: (...identity) => record.identities.push(identity),
      onIdentityChange: (...change) => record.changes.push(change),
      onConnectionError: (error) => record.connectionErrors.push({ name: error.name, code: error.code, reason: error.reason }),
      ...options,
    });
    client.binaryType = "arraybuffer";
    client.addEventListener("open", () => (record.opens += 1));
    client.addEventListener("message", (event) => heard.push(typeof event.data === "string" ? event.data : bytes(event.data)));
    client.addEventListener("close", (event) => closes.push(event.code));
    Object.assign(client, { heard, updates, closes, record });
    this.#clients.push(client);
    return client;
  }

  // A client that has its identity, and its state if there is one.
  async ready(options) {
    const client = this.client(options);
    await within(client.ready, `${client.name} to be ready`);
    return client;
  }

  fetch(options, init) {
    return agentFetch({ agent: "Counter", name: this.name, host: this.host, ...options }, init);
  }

  // A bare WebSocket. `frames` is what arrived; `closed` resolves to [code, reason].
  socket(path, protocols = [], options = {}) {
    const socket = new WebSocket(`ws://${this.host}${path}`, protocols, options);
    socket.binaryType = "arraybuffer";
    socket.frames = [];
    socket.on("message", (data, isBinary) => socket.frames.push(isBinary ? bytes(data) : data.toString()));
    socket.closed = new Promise((resolve) => socket.on("close", (code, reason) => resolve([code, reason.toString()])));
    socket.opened = new Promise((resolve) => {
      socket.on("open", () => resolve(101));
      socket.on("unexpected-response", async (request, response) => {
        let body = "";
        for await (const chunk of response) body += chunk;
        resolve([response.statusCode, body]);
      });
      socket.on("error", (error) => resolve(String(error)));
    });
    this.#sockets.push(socket);
    return socket;
  }

  // Tell the test that we are here and wait until it lets us go on.
  meet(point) {
    const going = new Promise((resolve) => this.#waiting.set(point, resolve));
    this.#tell(point);
    return within(going, `the test to go on from ${point}`, 4 * PATIENCE_MS);
  }

  go(point) {
    this.#waiting.get(point)?.();
  }

  // Have something done when the scenario is over.
  later(ending) {
    this.#endings.push(ending);
  }

  clear() {
    for (const ending of this.#endings) ending();
    for (const client of this.#clients) client.close();
    for (const socket of this.#sockets) socket.terminate();
  }
}

export const bytes = (data) => ({ bytes: [...new Uint8Array(data)] });

// Wait for a named condition: a deadline, no guess about how long things take.
export async function until(condition, what) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`Waited ${PATIENCE_MS} ms for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export async function within(promise, what, milliseconds = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${milliseconds} ms for ${what}.`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// The message of what was raised, or the value if nothing was.
export async function outcome(promise) {
  try {
    return { value: (await within(promise, "an outcome")) ?? null };
  } catch (error) {
    return { error: error.message };
  }
}

export const kinds = (heard) =>
  heard.map((frame) => {
    try {
      return JSON.parse(frame).type ?? frame;
    } catch {
      return frame;
    }
  });
