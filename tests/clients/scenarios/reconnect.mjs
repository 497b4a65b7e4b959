// Connections that end: which come back, and what is still there.

import { outcome, until, within } from "../stage.mjs";

async function closedBy(stage, code) {
  const client = await stage.ready();
  client.setState({ n: 6 });
  await client.call("get");
  // The call that closes the socket may lose its answer with it.
  client.call("close_me", [code, "because"]).catch(() => {});
  await until(() => client.closes.length, "the close");
  return client;
}

export async function close_1012_reconnects(stage) {
  const client = await closedBy(stage, 1012);
  const buffered = client.call("add", [1]);
  await within(client.ready, "ready again");
  return { sum: await within(buffered, "the buffered call"), closes: client.closes, opens: client.record.opens, changes: client.record.changes };
}

export async function close_1000_reconnects(stage) {
  const client = await closedBy(stage, 1000);
  await within(client.ready, "ready again");
  return { closes: client.closes, opens: client.record.opens, state: client.state };
}

export async function close_4401_is_final(stage) {
  const client = await closedBy(stage, 4401);
  await until(() => client.record.connectionErrors.length, "the error");
  const call = await outcome(client.call("add", [1]));
  return { errors: client.record.connectionErrors, call, opens: client.record.opens, closes: client.closes };
}

export async function close_1008_is_final(stage) {
  const client = await closedBy(stage, 1008);
  await until(() => client.record.connectionErrors.length, "the error");
  return { errors: client.record.connectionErrors, opens: client.record.opens };
}

export async function refused_for_good(stage) {
  const client = stage.client({ query: { refuse: "4403" } });
  await until(() => client.record.connectionErrors.length, "the error");
  return { errors: client.record.connectionErrors, opens: client.record.opens };
}

export async function transmitted_calls_are_rejected(stage) {
  const client = await stage.ready();
  const call = outcome(client.call("wait_for", ["lost"]));
  await client.call("echo", ["the call above has arrived"]);
  client.call("close_me", [1012, ""]).catch(() => {});
  return call;
}

export async function messages_are_resent(stage) {
  const client = await closedBy(stage, 1012);
  for (const text of ["one", "two", "three"]) client.send(text);
  await until(() => client.heard.includes("echo:three"), "the echoes");
  return client.heard.filter((frame) => /^echo:(one|two|three)$/.test(frame));
}

// The test kills the server while we wait, and starts it again.
export async function server_killed(stage) {
  const client = await stage.ready();
  client.setState({ n: 11 });
  const sum = await client.call("add", [1]);
  await stage.meet("settled");
  await until(() => client.closes.length, "the close");
  const buffered = client.call("add", [1]);
  await stage.meet("closed");
  await within(client.ready, "ready again");
  return { sum, after: await within(buffered, "the buffered call"), state: client.state, changes: client.record.changes };
}

// The test stops the server gently while we wait: the code must be one that clients come back from.
export async function server_stopped(stage) {
  const client = await stage.ready();
  await stage.meet("settled");
  await until(() => client.closes.length, "the close");
  const [code] = client.closes;
  await stage.meet("closed");
  await within(client.ready, "ready again");
  return { code, opens: client.record.opens };
}
