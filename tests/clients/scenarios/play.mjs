// A play on bare WebSockets: connections act in turn, and everything that they see is written down.
//
// Steps:
//   ["open", who, path]              connect; a refusal is written down
//   ["send", who, text]              LAST-ID in it is the id of the turn that `who` heard of last
//   ["take", who, count]             write down the next frames
//   ["until", who, pattern]          ... all frames up to the first that is like the pattern
//   ["skip", who, pattern]           the same, without writing them down
//   ["hear", who, texts]             wait for one of these texts, and let other frames be
//   ["quiet", who]                   ... all that came before the answer to a call made now
//   ["call", who, method, args]      call a method and write its answer down; other frames stay where they are
//   ["start", who, method, args]     call a method without waiting
//   ["answered", who]                write down the answers to what was started
//   ["close", who, code, reason]     close; ["closed", who] waits for a close by the server
//   ["http", method, path, body]
//   ["meet", point]                  let the test do something

import { until, within } from "../stage.mjs";

const read = (frame) => {
  try {
    return JSON.parse(frame);
  } catch {
    return frame;
  }
};

// Whether `value` has everything that `pattern` has. A text in place of an object is read as JSON.
export function isLike(value, pattern) {
  if (typeof pattern !== "object" || pattern === null) return value === pattern;
  if (typeof value === "string") value = read(value);
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(pattern).every(([key, wanted]) => isLike(value[key], wanted));
}

class Actor {
  started = [];
  #calls = 0;

  constructor(socket) {
    this.socket = socket;
    socket.on("message", (data, isBinary) => {
      const { type, id } = (isBinary ? {} : read(data.toString())) ?? {};
      if (type === "cf_agent_stream_resuming" || type === "cf_agent_use_chat_response") this.last = id;
    });
  }

  ask(method, args = []) {
    const id = `call-${++this.#calls}`;
    this.socket.send(JSON.stringify({ type: "rpc", id, method, args }));
    return id;
  }

  answer(id) {
    return this.socket.frames.findIndex((frame) => {
      const message = read(frame);
      return message?.type === "rpc" && message.id === id && message.done !== false;
    });
  }

  // The answer to a call, taken out of the frames.
  async answered(id) {
    await until(() => this.answer(id) >= 0, `the answer to ${id}`);
    const [frame] = this.socket.frames.splice(this.answer(id), 1);
    const { success, result, error } = read(frame);
    return success ? { result: result ?? null } : { error };
  }

  async through(pattern) {
    const found = () => this.socket.frames.findIndex((frame) => isLike(frame, pattern));
    await until(() => found() >= 0, `a frame like ${JSON.stringify(pattern)}; there are ${this.socket.frames.join("\n")}`);
    return this.socket.frames.splice(0, found() + 1).map(read);
  }
}

export async function play(stage) {
  const actors = {};
  const seen = [];
  const note = (who, what, value) => seen.push([who, what, value]);
  for (const [step, who, ...rest] of stage.args.steps) {
    const actor = actors[who];
    if (step === "open") {
      actors[who] = new Actor(stage.socket(rest[0]));
      const opened = await within(actors[who].socket.opened, `${who} to connect`);
      note(who, "opens", rest[0]);
      if (opened !== 101) note(who, "refused", opened);
    } else if (step === "send") {
      const text = rest[0].replaceAll("LAST-ID", actor.last);
      note(who, "sends", read(text));
      actor.socket.send(text);
    } else if (step === "take") {
      await until(() => actor.socket.frames.length >= rest[0], `${rest[0]} frames for ${who}; there are ${actor.socket.frames.join("\n")}`);
      note(who, "frames", actor.socket.frames.splice(0, rest[0]).map(read));
    } else if (step === "until") {
      note(who, "frames", await actor.through(rest[0]));
    } else if (step === "skip") {
      await actor.through(rest[0]);
    } else if (step === "hear") {
      const found = () => actor.socket.frames.findIndex((frame) => rest[0].includes(frame));
      await until(() => found() >= 0, `${rest[0]} to be told; there are ${actor.socket.frames.join("\n")}`);
      note(who, "frames", actor.socket.frames.splice(found(), 1));
    } else if (step === "quiet") {
      const id = actor.ask("ping");
      await until(() => actor.answer(id) >= 0, `${who}'s call`);
      note(who, "quiet", actor.socket.frames.splice(0, actor.answer(id) + 1).slice(0, -1).map(read));
    } else if (step === "call") {
      note(who, rest[0], await actor.answered(actor.ask(...rest)));
    } else if (step === "start") {
      actor.started.push([rest[0], actor.ask(...rest)]);
    } else if (step === "answered") {
      for (const [method, id] of actor.started.splice(0)) note(who, method, await actor.answered(id));
    } else if (step === "close") {
      note(who, "closes", rest);
      actor.socket.close(...rest);
      await within(actor.socket.closed, `${who} to be closed`);
    } else if (step === "closed") {
      note(who, "closed", await within(actor.socket.closed, `${who} to be closed`));
    } else if (step === "http") {
      const [path, body] = rest;
      const response = await fetch(`${stage.base}${path}`, { method: who, body: body === undefined ? undefined : JSON.stringify(body) });
      note("http", `${who} ${path}`, [response.status, response.headers.get("content-type"), read(await response.text())]);
    } else if (step === "meet") {
      await stage.meet(who);
    } else {
      throw new Error(`There is no step ${step}.`);
    }
  }
  return seen;
}
