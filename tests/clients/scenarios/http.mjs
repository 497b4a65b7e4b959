// agentFetch, and what plain HTTP gets.

export async function fetch_get(stage) {
  const response = await stage.fetch({ path: "a/b", query: { q: "1" } });
  return { status: response.status, type: response.headers.get("content-type"), seen: await response.json() };
}

export async function fetch_post(stage) {
  const response = await stage.fetch({}, { method: "POST", body: JSON.stringify({ é: "😀" }), headers: { "x-mine": "yes" } });
  const seen = await response.json();
  return { method: seen.method, body: seen.body, header: seen.headers["x-mine"] };
}

export async function fetch_stream(stage) {
  const response = await stage.fetch({ path: "stream" });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const chunks = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { chunks, type: response.headers.get("content-type") };
    chunks.push(value);
    // Each chunk is only made when the one before it has been seen.
    await stage.fetch({ path: "next" }, { method: "POST" });
  }
}

export async function fetch_shares_the_agent(stage) {
  const client = await stage.ready();
  await client.call("add", [3]);
  const before = await (await stage.fetch({ path: "state" })).json();
  await stage.fetch({ path: "state" }, { method: "PUT", body: JSON.stringify({ n: 30 }) });
  return { before, after: await client.call("get"), updates: client.updates };
}

export async function fetch_errors(stage) {
  const told = async (response) => [response.status, await response.text()];
  return {
    raised: await told(await stage.fetch({ path: "raise" })),
    no_handler: await told(await stage.fetch({ agent: "NoState" })),
    unknown_agent: await told(await stage.fetch({ agent: "Nothing" })),
    denied: await told(await stage.fetch({ query: { token: "deny" } })),
    not_ours: await told(await fetch(`${stage.base}/agents/counter`)),
    bad_json: await told(await stage.fetch({ path: "state" }, { method: "PUT", body: "{" })),
  };
}

export async function fetch_of_a_base_path(stage) {
  const response = await stage.fetch({ basePath: "mine", query: { user: "ada" } });
  return { name: (await response.json()).name };
}

export async function fetch_odd_paths(stage) {
  const name = async (path) => {
    const { name, path: seen } = await (await fetch(`${stage.base}${path}`)).json();
    return [name, seen];
  };
  return {
    encoded: await name("/agents/counter/a%20b/c/d?q=1"),
    slashes: await name("//agents//counter//x/"),
  };
}

export async function cors(stage) {
  const pick = (response) => Object.fromEntries([...response.headers].filter(([key]) => key.startsWith("access-control")));
  const options = await stage.fetch({}, { method: "OPTIONS" });
  const get = await stage.fetch();
  const unknown = await stage.fetch({ agent: "Nothing" });
  return { preflight: [options.status, await options.text(), pick(options)], get: pick(get), unknown: pick(unknown) };
}
