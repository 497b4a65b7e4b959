// The chat agents of ../chat_app.py in the TypeScript SDK. What they answer is written in the request's body.

import { AIChatAgent } from "@cloudflare/ai-chat";
import { callable, getCurrentAgent } from "agents";

import { Gates, eventStream, plainText } from "./script.mjs";

const query = (url) => new URL(url).searchParams;

const HELLO = [
  { type: "start" },
  { type: "start-step" },
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: "Hello" },
  { type: "text-delta", id: "t", delta: " world" },
  { type: "text-end", id: "t" },
  { type: "finish-step" },
  { type: "finish", finishReason: "stop" },
];

export class Chat extends AIChatAgent {
  gates = new Gates();
  seen = [];
  told = [];
  closings = [];

  shouldConnectionBeReadonly(connection, { request }) {
    return query(request.url).has("readonly");
  }

  shouldSendProtocolMessages(connection, { request }) {
    return query(request.url).get("protocol") !== "off";
  }

  async onChatMessage(onFinish, { requestId, abortSignal, body, clientTools, continuation }) {
    const { script, then, form, ...custom } = body ?? {};
    const turn = {
      continuation: Boolean(continuation),
      messages: this.gist(),
      body: body ? custom : null,
      tools: clientTools?.map((tool) => tool.name) ?? null,
      connection: getCurrentAgent().connection?.id ?? null,
      aborted: false,
    };
    this.seen.push(turn);
    this.current = requestId;
    abortSignal?.addEventListener("abort", () => (turn.aborted = true));
    if (custom.before) await this.gates.pass(custom.before);
    if (continuation) return eventStream(then ?? HELLO, this.gates);
    if (form === "nothing") return undefined;
    if (form === "raise") throw new Error("no answer: a secret of the server");
    if (form === "text") return plainText(script, this.gates);
    return eventStream(script ?? HELLO, this.gates);
  }

  onChatResponse({ message, continuation, status, error, requestId }) {
    this.told.push({ text: message.parts.map((part) => part.text ?? part.type).join("|"), continuation, status, error: error ?? null });
  }

  onMessage(connection, message) {
    connection.send(`echo:${message}`);
  }

  onClose(connection, code) {
    this.closings.push([connection.id, code]);
  }

  onError(...failure) {
    console.error(...failure);
  }

  ping() {
    return "pong";
  }

  open(gate) {
    this.gates.open(gate);
  }

  async reached(gate) {
    await this.gates.reached(gate);
  }

  turns() {
    return this.seen;
  }

  responses() {
    return this.told;
  }

  closed() {
    return this.closings;
  }

  history() {
    return this.messages;
  }

  // Roles and texts, in order.
  gist() {
    return this.messages.map((message) => [message.role, message.parts.map((part) => part.text ?? part.type).join("|")]);
  }

  async save(messages) {
    const { status, error } = await this.saveMessages(messages);
    return { status, error: error ?? null };
  }

  async save_more(text) {
    const more = { id: "more", role: "user", parts: [{ type: "text", text }] };
    const { status } = await this.saveMessages((messages) => [...messages, more]);
    return { status };
  }

  async persist(messages) {
    await this.persistMessages(messages);
  }

  async go_on(body) {
    const { status } = await this.continueLastTurn(body ?? undefined);
    return { status };
  }

  abort_current() {
    this.abortRequest(this.current);
  }

  abort_all() {
    this.abortAllRequests();
  }

  reset() {
    this.resetTurnState();
  }

  stable(milliseconds) {
    return this.waitUntilStable({ timeout: milliseconds });
  }

  pending() {
    return this.hasPendingInteraction();
  }
}

const CALLABLES = ["ping", "open", "reached", "turns", "responses", "closed", "history", "gist", "save", "save_more", "persist"];
for (const name of [...CALLABLES, "go_on", "abort_current", "abort_all", "reset", "stable", "pending"]) {
  callable()(Chat.prototype[name], { kind: "method", name });
}

export class LatestChat extends Chat {
  messageConcurrency = "latest";
}

export class MergingChat extends Chat {
  messageConcurrency = "merge";
}

export class DroppingChat extends Chat {
  messageConcurrency = "drop";
}

export class PatientChat extends Chat {
  messageConcurrency = { strategy: "debounce", debounceMs: 100 };
}

// Keeps the last three messages.
export class ShortChat extends Chat {
  maxPersistedMessages = 3;
}

// Keeps no word "secret".
export class DiscreetChat extends Chat {
  sanitizeMessageForPersistence(message) {
    const parts = message.parts.map((part) => (part.type === "text" ? { ...part, text: part.text.replaceAll("secret", "***") } : part));
    return { ...message, parts };
  }
}

// Starts one more turn by itself, after the first.
export class TalkativeChat extends Chat {
  async onChatResponse(result) {
    super.onChatResponse(result);
    if (this.told.length > 1) return;
    const more = { id: "more", role: "user", parts: [{ type: "text", text: "go on" }] };
    await this.saveMessages((messages) => [...messages, more]);
  }
}

// A turn that a crash interrupts stays so.
export class ForgetfulChat extends Chat {
  chatRecovery = false;
}
