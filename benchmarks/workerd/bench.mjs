// The agents of ../apps.py in the TypeScript SDK: the same answers to the same paths.

import { Agent, routeAgentRequest } from "agents";

const TEXT = { "content-type": "text/plain;charset=UTF-8" };
const STREAM = { "content-type": "text/event-stream", "cache-control": "no-cache" };
const encoder = new TextEncoder();

function events(count) {
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  const write = async () => {
    for (let number = 0; number < count; number += 1) {
      await writer.write(encoder.encode(`id: ${number}\ndata: {"token":"word","n":${number}}\n\n`));
    }
    await writer.close();
  };
  write();
  return readable;
}

export class Bench extends Agent {
  shouldSendProtocolMessages() {
    return false;
  }

  onMessage(connection, message) {
    if (message.startsWith("shout")) this.broadcast(message);
    else connection.send(message);
  }

  async onRequest(request) {
    const url = new URL(request.url);
    const what = url.pathname.split("/").at(-1);
    if (what === "hello") return new Response("Hello, world!", { headers: TEXT });
    if (what === "json") {
      const order = await request.json();
      return Response.json({ ...order, total: order.items.reduce((sum, { price }) => sum + price, 0) });
    }
    if (what === "insert") {
      if (!this.hasTable) {
        this.sql`CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)`;
        this.hasTable = true;
      }
      this.sql`INSERT INTO notes (text) VALUES (${"a note"})`;
      return new Response("ok", { headers: TEXT });
    }
    if (what === "events") return new Response(events(Number(url.searchParams.get("n"))), { headers: STREAM });
    return new Response("Not found", { status: 404 });
  }
}

export class Shared extends Agent {
  initialState = { n: 0 };
}

export default {
  async fetch(request, env) {
    return (await routeAgentRequest(request, env)) ?? new Response("Not found", { status: 404 });
  },
};
