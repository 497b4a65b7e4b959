// Runs named scenarios with the official clients, for a test that decides what was right.
//
// One JSON object a line. In: {id, scenario, base, args} starts a scenario, {id, go} lets one pass a meeting point.
// Out: {id, result} or {id, error} ends it, {id, at} says that it waits at a meeting point.
// A scenario only reports what it saw: nothing here knows what is expected.

import { createInterface } from "node:readline";

import { Stage } from "./stage.mjs";
import * as connect from "./scenarios/connect.mjs";
import * as hook from "./scenarios/hook.mjs";
import * as http from "./scenarios/http.mjs";
import * as messages from "./scenarios/messages.mjs";
import * as play from "./scenarios/play.mjs";
import * as reconnect from "./scenarios/reconnect.mjs";
import * as rpc from "./scenarios/rpc.mjs";
import * as state from "./scenarios/state.mjs";
import * as transcript from "./scenarios/transcript.mjs";

const scenarios = { ...connect, ...hook, ...http, ...messages, ...play, ...reconnect, ...rpc, ...state, ...transcript };

// The clients say on the console what a page's developer should know. Standard output belongs to the answers.
console.log = console.info = console.debug = console.warn = (...words) => console.error(...words);

const stages = new Map();
const tell = (message) => process.stdout.write(JSON.stringify(message) + "\n");

async function run({ id, scenario, base, args = {} }) {
  const stage = new Stage({ name: scenario, base, args, tell: (at) => tell({ id, at }) });
  stages.set(id, stage);
  try {
    if (!scenarios[scenario]) throw new Error(`There is no scenario ${scenario}.`);
    tell({ id, result: (await scenarios[scenario](stage)) ?? null });
  } catch (error) {
    tell({ id, error: error?.stack ?? String(error) });
  } finally {
    stage.clear();
    stages.delete(id);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if ("go" in message) stages.get(message.id)?.go(message.go);
  else run(message);
}
process.exit(0);
