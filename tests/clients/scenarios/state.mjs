// The state that an agent and its clients share.

import { outcome, until } from "../stage.mjs";

export async function client_sets_state(stage) {
  const [sender, watcher] = [await stage.ready(), await stage.ready()];
  sender.setState({ n: 5 });
  await until(() => watcher.state.n === 5, "the state");
  const told = await sender.call("get");
  // Frames of one socket keep their order: an echo of the state would have come before the answer to this call.
  return { sender: sender.updates, watcher: watcher.updates, told };
}

export async function server_sets_state(stage) {
  const [caller, watcher] = [await stage.ready(), await stage.ready()];
  const result = await caller.call("add", [7]);
  const when_answered = caller.state;
  await until(() => watcher.state.n === 7, "the state");
  return { result, when_answered, caller: caller.updates, watcher: watcher.updates };
}

export async function state_of_any_json(stage) {
  const [sender, watcher] = [await stage.ready({ agent: "Keeper" }), await stage.ready({ agent: "Keeper" })];
  const values = [0, false, "", null, [], {}, "é\u2028\u0000😀", [1, { a: [null, true] }], 1.5, -1e21];
  for (const value of values) sender.setState(value);
  await until(() => watcher.updates.length === values.length, "every value");
  return watcher.updates.map(([state]) => state);
}

export async function state_null_is_a_state(stage) {
  const first = await stage.ready({ agent: "Keeper" });
  first.setState(null);
  await first.call("ping");
  const client = await stage.ready({ agent: "Keeper" });
  return { state: client.state, updates: client.updates };
}

export async function state_refused(stage) {
  const [sender, watcher] = [await stage.ready(), await stage.ready()];
  sender.setState({ n: -5 });
  await until(() => sender.record.stateErrors.length, "the error");
  const kept = await watcher.call("get");
  return { errors: sender.record.stateErrors, optimistic: sender.state, kept, watcher: watcher.updates };
}

export async function state_readonly(stage) {
  const [reader, writer] = [await stage.ready({ query: { readonly: "1" } }), await stage.ready()];
  reader.setState({ n: 9 });
  await until(() => reader.record.stateErrors.length, "the error");
  const call = await outcome(reader.call("add", [1]));
  const allowed = await outcome(reader.call("get"));
  writer.setState({ n: 2 });
  await until(() => reader.state.n === 2, "the writer's state");
  return { errors: reader.record.stateErrors, call, allowed };
}

export async function state_of_another_name(stage) {
  const [here, there] = [await stage.ready({ name: `${stage.name}-1` }), await stage.ready({ name: `${stage.name}-2` })];
  here.setState({ n: 8 });
  await here.call("get");
  return { there: await there.call("get"), updates: there.updates };
}

export async function on_state_changed(stage) {
  const client = await stage.ready();
  client.setState({ n: 1 });
  await client.call("add", [1]);
  return client.call("changes");
}

export async function twenty_watchers(stage) {
  const watchers = await Promise.all(Array.from({ length: 20 }, () => stage.ready()));
  for (let n = 1; n <= 50; n += 1) watchers[0].setState({ n });
  await until(() => watchers.slice(1).every((w) => w.state.n === 50), "everyone to see the last state");
  return { inOrder: watchers.slice(1).every((w) => w.updates.slice(1).every(([state], i) => state.n === i + 1)) };
}
