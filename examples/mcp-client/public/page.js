// The page: an agent's client in a few lines, and what it shows of MCP servers. What servers say is text, never HTML.

const find = (what) => document.querySelector(what);
const say = (text) => (find("output").textContent = text);

// The agent: each browser has one of its own

localStorage.sessionId ??= Array.from(crypto.getRandomValues(new Uint8Array(4)), (each) => each.toString(16)).join("");

const calls = new Map();
let calledBefore = 0;
let socket;

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/agents/my-agent/${localStorage.sessionId}`);
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.type === "cf_agent_mcp_servers") show(frame.mcp);
    if (frame.type === "mcp-elicitation") find("#questions").append(question(frame));
    if (frame.type === "rpc") calls.get(frame.id)?.(frame);
  };
  socket.onclose = () => {
    for (const answer of calls.values()) answer({ success: false, error: "The connection was lost." });
    setTimeout(connect, 1000);
  };
}

function call(method, ...args) {
  const id = String(++calledBefore);
  return new Promise((resolve, reject) => {
    calls.set(id, ({ success, result, error }) => {
      calls.delete(id);
      success ? resolve(result) : reject(new Error(error));
    });
    socket.send(JSON.stringify({ type: "rpc", id, method, args }));
  });
}

async function attempt(what) {
  say("");
  try {
    await what();
  } catch (error) {
    say(error.message);
  }
}

// What is shown

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const button = (textContent, onclick) => element("button", { type: "button", textContent, onclick });
const submit = (textContent) => element("button", { type: "submit", textContent });

function open(url) {
  // A server names it: a script is no place to go.
  if (/^https?:/.test(url)) window.open(url, "_blank", "popup,width=600,height=800");
}

let shownTools = "";

function show({ servers, tools, resources, prompts }) {
  find("#servers").replaceChildren(...Object.entries(servers).map(([id, each]) => server(id, each)));
  // A form that is being filled in stays.
  if (JSON.stringify(tools) !== shownTools) {
    shownTools = JSON.stringify(tools);
    find("#tools").replaceChildren(...tools.map((each) => tool(each, servers[each.serverId])));
  }
  find("#rest").replaceChildren(...[...resources, ...prompts].map(({ name, uri }) => element("div", {}, uri ?? name)));
}

function server(id, { name, state, error, auth_url }) {
  const line = element("div", {}, `${name}: ${state}${error ? ` (${error})` : ""}`);
  if (state === "authenticating" && auth_url) line.append(button("Authorize", () => open(auth_url)));
  line.append(button("Remove", () => attempt(() => call("disconnectServer", id))));
  return line;
}

function tool({ name, serverId, description, inputSchema }, { name: server }) {
  const result = element("pre");
  const form = element("form", {}, `${server}: ${name} `, ...fields(inputSchema), submit("Run"), result);
  form.title = description ?? "";
  form.onsubmit = async (event) => {
    event.preventDefault();
    result.textContent = "…";
    try {
      const { content } = await call("callTool", serverId, name, values(form, inputSchema));
      result.textContent = content.map((part) => part.text ?? JSON.stringify(part)).join("\n");
    } catch (error) {
      result.textContent = error.message;
    }
  };
  return form;
}

function question({ id, params: { message, mode, url, requestedSchema } }) {
  const form = element("form", {}, message, ...fields(requestedSchema));
  const answer = (action, content) => {
    form.remove();
    attempt(() => call("respondToElicitation", id, { action, content }));
  };
  if (mode === "url") form.append(element("code", {}, url), button("Open", () => open(url)));
  form.append(submit("Answer"), button("Decline", () => answer("decline", {})));
  form.onsubmit = (event) => {
    event.preventDefault();
    answer("accept", values(form, requestedSchema));
  };
  return form;
}

// Forms, from JSON schemas

function fields(schema) {
  return Object.entries(schema?.properties ?? {}).map(([name, each]) => {
    const about = { name, ariaLabel: each.title ?? name, required: schema.required?.includes(name) ?? false };
    if (each.enum) return element("select", about, ...each.enum.map((value) => new Option(value)));
    const type = { boolean: "checkbox", number: "number", integer: "number" }[each.type] ?? "text";
    const input = { ...about, type, placeholder: each.title ?? name, step: each.type === "number" ? "any" : "" };
    if (type !== "checkbox") return element("input", { ...input, value: each.default ?? "" });
    return element("label", {}, element("input", { ...input, checked: each.default ?? false, required: false }), name);
  });
}

function values(form, schema) {
  const filled = Object.keys(schema?.properties ?? {}).map((name) => {
    const { type, value, checked, valueAsNumber } = form.elements[name];
    if (type === "checkbox") return [name, checked];
    return [name, value === "" ? undefined : type === "number" ? valueAsNumber : value];
  });
  return Object.fromEntries(filled);
}

find("#add").onsubmit = (event) => {
  event.preventDefault();
  const { server, url } = event.target.elements;
  attempt(async () => {
    await call("addServer", server.value, url.value);
    event.target.reset();
  });
};

connect();
