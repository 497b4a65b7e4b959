// The React hooks, on a page that is only in memory: useAgent and useAgentChat as an application uses them.

import { createElement, Suspense } from "react";
import { create } from "react-test-renderer";
import * as chatHooks from "@cloudflare/ai-chat/react";
import { useAgent } from "agents/react";
import WebSocket from "ws";

import { until } from "../stage.mjs";

// A browser has one.
globalThis.WebSocket ??= WebSocket;

// The hook of a tab of its own: tabs do not share what they have fetched, as pages within one do.
let tabs = 0;
async function ofAnotherTab() {
  const module = await import(`${import.meta.resolve("agents/chat/react")}?tab=${++tabs}`);
  return module.useAgentChat;
}

// A page with a chat. `page.chat` and `page.agent` are what the hooks returned last, the lists what happened.
function open(stage, { agent = "Chat", chat = {}, name = stage.name, useAgentChat = chatHooks.useAgentChat, ...options } = {}) {
  const page = { statuses: [], errors: [], data: [], ended: [], states: [], asked: 0 };
  function Chat() {
    page.agent = useAgent({
      agent,
      name,
      host: stage.host,
      minReconnectionDelay: 20,
      maxReconnectionDelay: 100,
      onStateUpdate: (state, source) => page.states.push([state, source]),
      ...options,
    });
    page.chat = useAgentChat({
      agent: page.agent,
      throttle: false,
      onError: (error) => page.errors.push(error.message),
      onData: (part) => page.data.push(part),
      onTurnEnd: ({ outcome, error, replay, messageIds }) => page.ended.push({ outcome, error: error ?? null, replay, ids: messageIds?.length ?? 0 }),
      ...chat,
    });
    const { status, isServerStreaming, isToolContinuation, isRecovering } = page.chat;
    const now = [status, isServerStreaming && "server", isToolContinuation && "continuing", isRecovering && "recovering"].filter(Boolean).join(" ");
    if (page.statuses.at(-1) !== now) page.statuses.push(now);
    return null;
  }
  const root = create(createElement(Suspense, { fallback: null }, createElement(Chat)), { unstable_isConcurrent: true });
  page.close = () => root.unmount();
  page.said = () => page.chat.messages.map(said);
  stage.later(page.close);
  return page;
}

const said = ({ role, parts }) => [role, ...parts.filter((part) => part.type !== "step-start").map((part) => (part.type === "text" ? part.text : told(part)))];
const told = ({ type, state, text, output, errorText, approval, data }) => [type, state, text ?? output ?? errorText ?? approval?.approved ?? data].filter((x) => x !== undefined).join(" ");

// A page whose connection stands, whose history is there, and that was told whether there is a stream to resume. (One
// that sends before it knows that is "ready" for the hook when it learns it, whatever it waits for.)
async function ready(stage, options) {
  const page = open(stage, options);
  await until(() => page.chat && page.agent.readyState === 1 && page.agent.identified, "the page to be ready");
  await page.agent.call("ping");
  return page;
}

const anotherTab = async (stage, options) => ready(stage, { useAgentChat: await ofAnotherTab(), ...options });

// All turns that the page asked for have ended. The status alone does not tell: it is "ready" for a moment in between.
const idle = (page) => until(() => page.ended.length >= page.asked && !["submitted", "streaming"].includes(page.chat.status), `the turn to end; ${page.chat.status}`);
const says = (page, text) => until(() => page.said().flat().join(" ").includes(text), `${text} to be said; there is ${JSON.stringify(page.said())}`);
const settled = (page) => page.agent.call("stable", [5000]);
const text = (...pieces) => [
  { type: "text-start", id: "t" },
  ...pieces.map((piece) => (typeof piece === "string" ? { type: "text-delta", id: "t", delta: piece } : piece)),
  { type: "text-end", id: "t" },
];
const reply = (...chunks) => [{ type: "start" }, { type: "start-step" }, ...chunks, { type: "finish-step" }, { type: "finish", finishReason: "stop" }];
const call = { type: "tool-input-available", toolCallId: "call-1", toolName: "locate", input: { x: 1 } };
function ask(page, words, body) {
  page.asked += 1;
  return page.chat.sendMessage({ text: words }, body && { body });
}

export async function hook_sends_a_message(stage) {
  const page = await ready(stage);
  const asked = ask(page, "hi", { before: "g" });
  // A page that gets the whole answer at once is never seen waiting for it.
  await until(() => /submitted|streaming/.test(page.chat.status), "the page to wait");
  await page.agent.call("open", ["g"]);
  await asked;
  await idle(page);
  await settled(page);
  await says(page, "Hello world");
  const server = await page.agent.call("history");
  return {
    said: page.said(),
    statuses: [page.statuses[0], page.statuses.some((status) => /submitted|streaming/.test(status)), page.statuses.at(-1)],
    ended: page.ended,
    same_ids: JSON.stringify(server.map(({ id }) => id)) === JSON.stringify(page.chat.messages.map(({ id }) => id)),
    metadata: page.chat.messages.at(-1).metadata ?? null,
  };
}

export async function hook_finds_the_history(stage) {
  const first = await ready(stage);
  await ask(first, "hi");
  await idle(first);
  first.close();
  const second = await anotherTab(stage);
  await says(second, "Hello world");
  return { said: second.said(), status: second.chat.status };
}

export async function hook_without_initial_messages(stage) {
  const first = await ready(stage);
  await ask(first, "hi");
  await idle(first);
  const second = await anotherTab(stage, { chat: { getInitialMessages: null } });
  return second.said();
}

export async function hook_asks_twice(stage) {
  const page = await ready(stage);
  await ask(page, "one");
  await idle(page);
  await ask(page, "two");
  await idle(page);
  await settled(page);
  return { page: page.said(), server: await page.agent.call("gist") };
}

export async function hook_of_another_tab(stage) {
  const [a, b] = [await ready(stage), await anotherTab(stage)];
  ask(a, "hi", { script: reply(...text("one ", { gate: "g" }, "two")) });
  await says(b, "one");
  const midway = [b.said(), b.chat.isStreaming];
  await b.agent.call("open", ["g"]);
  await says(b, "one two");
  await idle(a);
  await until(() => !b.chat.isStreaming, "the stream to end");
  return { midway, a: a.said(), b: b.said() };
}

export async function hook_stops(stage) {
  const page = await ready(stage);
  ask(page, "hi", { script: reply(...text("one ", { gate: "g" }, "two")) });
  await says(page, "one");
  await page.chat.stop();
  await idle(page);
  await settled(page);
  return { said: page.said(), server: await page.agent.call("gist"), turns: (await page.agent.call("turns")).map(({ aborted }) => aborted) };
}

export async function hook_regenerates(stage) {
  const page = await ready(stage);
  await ask(page, "hi", { script: reply(...text("first")) });
  await idle(page);
  page.asked += 1;
  await page.chat.regenerate({ body: { script: reply(...text("second")) } });
  await idle(page);
  await settled(page);
  return { said: page.said(), server: await page.agent.call("gist") };
}

export async function hook_clears(stage) {
  const [a, b] = [await ready(stage), await anotherTab(stage)];
  await ask(a, "hi");
  await idle(a);
  await says(b, "Hello world");
  a.chat.clearHistory();
  await until(() => b.chat.messages.length === 0, "the other tab to be cleared");
  return { a: a.said(), b: b.said(), server: await a.agent.call("gist") };
}

export async function hook_sets_messages(stage) {
  const [a, b] = [await ready(stage), await anotherTab(stage)];
  a.chat.setMessages([{ id: "m1", role: "user", parts: [{ type: "text", text: "written" }] }]);
  await says(b, "written");
  return { a: a.said(), b: b.said(), server: await b.agent.call("gist") };
}

export async function hook_is_told_of_an_error(stage) {
  const page = await ready(stage);
  // An error that comes in the same moment as the text before it can make the client forget the text.
  ask(page, "hi", { script: reply(...text("par"), { gate: "g" }, { type: "error", errorText: "provider 500" }) });
  await says(page, "par");
  await page.agent.call("open", ["g"]);
  await until(() => page.chat.status === "error", "the error");
  const after = { said: page.said(), errors: page.errors, error: page.chat.error.message };
  await settled(page);
  await ask(page, "again");
  await idle(page);
  return { ...after, then: page.said().at(-1), status: page.chat.status, ended: page.ended.map(({ outcome, error }) => [outcome, error]) };
}

export async function hook_is_told_that_a_stream_broke_off(stage) {
  const page = await ready(stage);
  ask(page, "hi", { script: reply(...text("par"), { gate: "g" }, { fail: "connection reset" }) });
  await says(page, "par");
  await page.agent.call("open", ["g"]);
  await until(() => page.chat.status === "error", "the error");
  return { said: page.said(), errors: page.errors };
}

export async function hook_gets_plain_text(stage) {
  const page = await ready(stage);
  await ask(page, "hi", { form: "text", script: [{ text: "plain " }, { text: "é😀" }] });
  await idle(page);
  await says(page, "é😀");
  return page.said();
}

export async function hook_gets_every_kind_of_part(stage) {
  const page = await ready(stage);
  const chunks = [
    { type: "reasoning-start", id: "r" },
    { type: "reasoning-delta", id: "r", delta: "hm" },
    { type: "reasoning-end", id: "r" },
    call,
    { type: "tool-output-available", toolCallId: "call-1", output: "found" },
    { type: "data-weather", id: "w", data: "sun" },
    { type: "data-progress", data: 50, transient: true },
    { type: "file", mediaType: "image/png", url: "data:image/png;base64,AA==" },
    { type: "source-url", sourceId: "s1", url: "https://example.org" },
    ...text("done"),
  ];
  await ask(page, "hi", { script: reply(...chunks) });
  await idle(page);
  await settled(page);
  const [{ parts }] = (await page.agent.call("history")).slice(-1);
  return { said: page.said().at(-1), data: page.data.map(({ type }) => type), stored: parts.map(({ type }) => type) };
}

export async function hook_sends_a_body(stage) {
  const page = await ready(stage, { chat: { body: () => ({ colour: "blue" }) } });
  await ask(page, "hi", { size: 3 });
  await idle(page);
  return (await page.agent.call("turns")).map(({ body, connection }) => [body, connection === page.agent.id]);
}

export async function hook_comes_late(stage) {
  const a = await ready(stage);
  ask(a, "hi", { script: reply(...text("one ", { gate: "g" }, "two")) });
  await says(a, "one");
  const b = await anotherTab(stage);
  await says(b, "one");
  const midway = b.said();
  await a.agent.call("open", ["g"]);
  await says(b, "one two");
  await idle(b);
  await idle(a);
  return { midway, a: a.said(), b: b.said(), ended: b.ended[0].outcome };
}

export async function hook_comes_before_the_stream(stage) {
  const a = await ready(stage);
  ask(a, "hi", { before: "g", script: reply(...text("there")) });
  await a.agent.call("reached", ["g"]);
  const b = await anotherTab(stage);
  const midway = b.said();
  await a.agent.call("open", ["g"]);
  await says(b, "there");
  await idle(b);
  return { midway, said: b.said() };
}

export async function hook_reconnects_in_mid_answer(stage) {
  const page = await ready(stage);
  const other = await stage.ready({ agent: "Chat" });
  ask(page, "hi", { script: reply(...text("one ", { gate: "g" }, "two ", { gate: "h" }, "three")) }).catch(() => {});
  await says(page, "one");
  const opens = new Promise((resolve) => page.agent.addEventListener("open", resolve, { once: true }));
  page.agent.reconnect();
  await other.call("open", ["g"]);
  await opens;
  await says(page, "one two");
  await other.call("open", ["h"]);
  await says(page, "one two three");
  await idle(page);
  return { said: page.said(), server: await other.call("gist") };
}

export async function hook_answers_a_tool(stage) {
  const chat = { onToolCall: ({ toolCall, addToolOutput }) => addToolOutput({ toolCallId: toolCall.toolCallId, output: `at ${toolCall.input.x}` }) };
  const page = await ready(stage, { chat });
  const other = await anotherTab(stage);
  await ask(page, "where?", { script: reply(call), then: reply(...text("you are there")) });
  await says(page, "you are there");
  await idle(page);
  await settled(page);
  await says(other, "you are there");
  return {
    said: page.said(),
    other: other.said(),
    server: await page.agent.call("gist"),
    continuing: page.statuses.some((status) => status.includes("continuing")),
    turns: (await page.agent.call("turns")).map(({ continuation }) => continuation),
  };
}

export async function hook_answers_a_tool_with_an_error(stage) {
  const page = await ready(stage);
  await ask(page, "where?", { script: reply(call) });
  await idle(page);
  page.chat.addToolOutput({ toolCallId: "call-1", toolName: "locate", state: "output-error", errorText: "no permission" });
  await settled(page);
  const [{ parts }] = (await page.agent.call("history")).slice(-1);
  // An error does not go on by itself.
  await ask(page, "well?", { script: reply(...text("never mind")) });
  await idle(page);
  return { stored: told(parts.at(-1)), said: page.said() };
}

export async function hook_answers_a_tool_and_stays(stage) {
  const page = await ready(stage, { chat: { autoContinueAfterToolResult: false } });
  await ask(page, "where?", { script: reply(call) });
  await idle(page);
  page.chat.addToolOutput({ toolCallId: "call-1", toolName: "locate", output: "here" });
  await says(page, "output-available here");
  await settled(page);
  return { said: page.said(), turns: (await page.agent.call("turns")).length };
}

const decides = (approved) => async (stage) => {
  const page = await ready(stage);
  const request = { type: "tool-approval-request", toolCallId: "call-1", approvalId: "ap1" };
  const output = approved ? [{ type: "tool-output-available", toolCallId: "call-1", output: "done" }] : [];
  await ask(page, "do it", { script: reply(call, request), then: reply(...output, ...text("so be it")) });
  await says(page, "approval-requested");
  await idle(page);
  page.chat.addToolApprovalResponse({ id: "ap1", approved });
  await says(page, "so be it");
  await idle(page);
  await settled(page);
  const [{ parts }] = (await page.agent.call("history")).slice(-1);
  return { said: page.said(), stored: parts.find(({ toolCallId }) => toolCallId).state };
};

export const hook_approves = decides(true);
export const hook_denies = decides(false);

// A server's tool that runs once it is allowed to: its output comes some time after the continuation has begun.
export async function hook_sees_an_approved_call(stage) {
  const page = await ready(stage);
  const request = { type: "tool-approval-request", toolCallId: "call-1", approvalId: "ap1" };
  const output = { type: "tool-output-available", toolCallId: "call-1", output: "done" };
  const [start, ...rest] = reply(...text("so ", "be it"));
  await ask(page, "do it", { script: reply(call, request), then: [start, { gate: "g" }, output, { gate: "h" }, ...rest] });
  await says(page, "approval-requested");
  await idle(page);
  let follows = false;
  page.agent.addEventListener("message", ({ data }) => (follows ||= data.includes('"replayComplete":true')));
  page.chat.addToolApprovalResponse({ id: "ap1", approved: true });
  await page.agent.call("reached", ["g"]);
  await until(() => follows, "the page to follow the continuation");
  await page.agent.call("open", ["g"]);
  await page.agent.call("reached", ["h"]);
  await page.agent.call("open", ["h"]);
  await says(page, "so be it");
  await idle(page);
  await settled(page);
  const other = await anotherTab(stage);
  await says(other, "so be it");
  return { said: page.said().at(-1), other: other.said().at(-1) };
}

export async function hook_hears_of_a_turn_of_the_agent(stage) {
  const page = await ready(stage);
  await page.agent.call("save", [[{ id: "s1", role: "user", parts: [{ type: "text", text: "by itself" }] }]]);
  await says(page, "Hello world");
  await until(() => !page.chat.isServerStreaming, "the stream to end");
  return page.said();
}

export async function hook_is_dropped(stage) {
  const page = await ready(stage, { agent: "DroppingChat" });
  const other = await anotherTab(stage, { agent: "DroppingChat" });
  ask(page, "one", { script: reply(...text("a", { gate: "g" }, "b")) });
  await says(page, "a");
  await ask(other, "two");
  await until(() => other.ended.length, "the request to be dropped");
  const dropped = other.said();
  await page.agent.call("open", ["g"]);
  await says(page, "ab");
  await says(other, "ab");
  return { dropped: dropped.some((message) => message[1] === "two"), page: page.said(), other: other.said(), ended: other.ended[0].outcome };
}

export async function hook_queues(stage) {
  const page = await ready(stage);
  ask(page, "one", { script: reply(...text("a", { gate: "g" }, "b")) });
  await says(page, "a");
  const other = await anotherTab(stage);
  await says(other, "a");
  const asked = ask(other, "two", { script: reply(...text("c")) });
  await until(() => page.said().flat().includes("two"), "the second question to be seen");
  await page.agent.call("open", ["g"]);
  await asked;
  await says(page, "c");
  await settled(page);
  return { server: await page.agent.call("gist") };
}

export async function hook_of_an_agent_with_state(stage) {
  const page = await ready(stage);
  page.agent.setState({ mood: "fine" });
  const other = await anotherTab(stage);
  await until(() => other.agent.state, "the state");
  return { agent: page.agent.agent, name: page.agent.name, states: page.states, other: other.agent.state };
}

// useAgent alone, on a page.
function agentOnly(stage, options) {
  const page = { states: [] };
  function Page() {
    page.agent = useAgent({ host: stage.host, minReconnectionDelay: 20, onStateUpdate: (state, source) => page.states.push([state, source]), ...options });
    return null;
  }
  const root = create(createElement(Page), { unstable_isConcurrent: true });
  stage.later(() => root.unmount());
  return page;
}

export async function hook_of_a_sub_agent(stage) {
  const sub = (name) => ({ agent: "Parent", name: stage.name, sub: [{ agent: "Child", name }] });
  const a = agentOnly(stage, sub("a b/c"));
  const b = agentOnly(stage, sub("a b/c"));
  for (const page of [a, b]) await until(() => page.agent?.state, "the state");
  const sum = await a.agent.call("add", [2]);
  await until(() => b.agent.state.n === 2, "the state of the other");
  const missing = await a.agent.call("nope").catch((error) => error.message);
  return { agent: a.agent.agent, name: a.agent.name, path: new URL(a.agent.getHttpUrl()).pathname.replace(stage.name, "NAME"), sum, missing, other: b.agent.state };
}

export async function hook_of_a_sub_agent_that_is_refused(stage) {
  const errors = [];
  agentOnly(stage, {
    agent: "Parent",
    name: stage.name,
    sub: [{ agent: "Child", name: "ann" }],
    query: { status: "403" },
    onConnectionError: ({ code, reason }) => errors.push([code, reason]),
  });
  await until(() => errors.length, "the error");
  return errors;
}

export async function hook_after_a_kill(stage) {
  const page = await ready(stage);
  ask(page, "hi", { script: reply(...text("one ", { gate: "g" }, "two")), then: reply(...text("and on")) }).catch(() => {});
  await says(page, "one");
  await stage.meet("settled");
  await stage.meet("killed");
  await until(() => page.agent.readyState === 1, "the page to come back");
  await page.agent.call("open", ["g"]);
  await until(() => page.chat.messages.length === 2 && !page.chat.isStreaming && !page.chat.isRecovering && /and on|two/.test(page.said().flat().join()), "the answer");
  await settled(page);
  return { said: page.said(), server: await page.agent.call("gist") };
}
