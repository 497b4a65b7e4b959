// Calls: results, errors, streams, timeouts, many at once.

import { outcome, until, within } from "../stage.mjs";

export async function call_with_arguments(stage) {
  const client = await stage.ready();
  const value = [1, "two", null, { three: [3.5, true] }, "é😀"];
  return { echo: await client.call("echo", value), stub: await client.stub.echo(...value) };
}

export async function call_returning_nothing(stage) {
  const client = await stage.ready();
  return outcome(client.call("nothing"));
}

export async function call_in_camel_case(stage) {
  const client = await stage.ready();
  return { stub: await client.stub.addNumbers(2, 3), snake: await client.call("add_numbers", [2, 3]) };
}

export async function call_of_a_sync_method(stage) {
  const client = await stage.ready();
  return client.call("add_in_a_thread", [4]);
}

export async function call_errors(stage) {
  const client = await stage.ready();
  return {
    raised: await outcome(client.call("boom")),
    missing: await outcome(client.call("nope")),
    not_callable: await outcome(client.call("on_start")),
    not_callable_in_camel_case: await outcome(client.call("onStart")),
    not_decorated: await outcome(client.call("restricted")),
    private_name: await outcome(client.call("__init__")),
    an_attribute: await outcome(client.call("name")),
    wrong_arguments: await outcome(client.call("add", [1, 2, 3])),
    after_all: await outcome(client.call("add", [1])),
  };
}

export async function result_that_is_no_json(stage) {
  const client = await stage.ready();
  const { error } = await outcome(client.call("unserialisable"));
  return { error, alive: await client.call("get") };
}

export async function stub_keeps_to_itself(stage) {
  const client = await stage.ready();
  await until(() => client.heard.length >= 4, "the frames of a new connection");
  const { stub } = client;
  const before = client.heard.length;
  JSON.stringify(stub);
  await Promise.resolve(stub);
  String(Object.prototype.toString.call(stub));
  await client.call("get");
  return { then: typeof stub.then, frames: client.heard.length - before };
}

async function streamed(client, method, args = []) {
  const seen = [];
  const result = await outcome(
    client.call(method, args, {
      stream: {
        onChunk: (chunk) => seen.push(["chunk", chunk]),
        onDone: (final) => seen.push(["done", final ?? null]),
        onError: (error) => seen.push(["error", error]),
      },
    }),
  );
  return { seen, result };
}

export async function stream_of_chunks(stage) {
  return streamed(await stage.ready(), "count_to", [2]);
}

export async function stream_from_a_generator(stage) {
  return streamed(await stage.ready(), "generate", [3]);
}

export async function stream_that_fails(stage) {
  return streamed(await stage.ready(), "fail_midway");
}

export async function stream_ended_by_an_error(stage) {
  return streamed(await stage.ready(), "end_with_an_error");
}

export async function stream_without_an_end(stage) {
  const client = await stage.ready();
  const seen = [];
  client.call("never_end", [], { stream: { onChunk: (c) => seen.push(c), onDone: () => seen.push("done"), onError: () => seen.push("error") } }).catch(() => {});
  await until(() => seen.length, "the chunk");
  await client.call("get");
  return seen;
}

export async function stream_callbacks_bare(stage) {
  const client = await stage.ready();
  const seen = [];
  const result = await client.call("count_to", [1], { onChunk: (chunk) => seen.push(chunk), onDone: (final) => seen.push(final) });
  return { seen, result };
}

export async function two_streams_at_once(stage) {
  const client = await stage.ready();
  const [a, b] = await Promise.all([streamed(client, "generate", [5]), streamed(client, "generate", [5])]);
  return { same: JSON.stringify(a) === JSON.stringify(b), chunks: a.seen.length };
}

export async function slow_call_does_not_hold_up_others(stage) {
  const client = await stage.ready();
  const order = [];
  const slow = client.call("wait_for", ["slow"]).then((value) => order.push(value));
  order.push(await client.call("echo", ["quick"]));
  await client.call("release", ["slow"]);
  await within(slow, "the slow call");
  return order;
}

export async function timeout(stage) {
  const client = await stage.ready();
  const late = await outcome(client.call("wait_for", ["timeout"], { timeout: 50 }));
  // The client gave up; the method did not.
  const released = await client.call("release", ["timeout"]);
  return { late, released };
}

export async function default_timeout(stage) {
  const client = await stage.ready({ defaultCallTimeout: 40 });
  return outcome(client.call("wait_for", ["default"]));
}

export async function calls_in_great_number(stage) {
  const client = await stage.ready();
  const sums = await Promise.all(Array.from({ length: 200 }, (_, i) => client.call("add_numbers", [i, i])));
  return sums.every((sum, i) => sum === 2 * i);
}

export async function callable_methods(stage) {
  const client = await stage.ready();
  return client.call("describe");
}

export async function ambient_context(stage) {
  const client = await stage.ready({ id: "here" });
  return client.call("ambient");
}
