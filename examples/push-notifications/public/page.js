// The page: an agent's client in a few lines, and the browser's side of Web Push.

const find = (what) => document.querySelector(what);
const say = (text) => (find("output").textContent = text);

// The agent

const calls = new Map();
const scheme = location.protocol === "https:" ? "wss:" : "ws:";
let socket;

function connect() {
  socket = new WebSocket(`${scheme}//${location.host}/agents/reminder-agent/user-reminders`);
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    if (frame.type === "cf_agent_state") show(frame.state.reminders);
    if (frame.type === "reminder_sent") say("A reminder was sent.");
    if (frame.type === "rpc") calls.get(frame.id)?.(frame);
  };
  socket.onclose = () => {
    for (const answer of calls.values()) answer({ success: false, error: "The connection was lost." });
    setTimeout(connect, 1000);
  };
}

function call(method, ...args) {
  const id = crypto.randomUUID();
  return new Promise((resolve, reject) => {
    calls.set(id, ({ success, result, error }) => {
      calls.delete(id);
      success ? resolve(result) : reject(new Error(error));
    });
    socket.send(JSON.stringify({ type: "rpc", id, method, args }));
  });
}

// What is shown

function show(reminders) {
  const lines = reminders.map(({ id, message, scheduledAt, sent }) => {
    const line = document.createElement("li");
    const when = sent ? "sent" : new Date(scheduledAt).toLocaleTimeString();
    line.append(`${message} (${when})`);
    if (!sent) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Cancel" });
      button.onclick = () => attempt(() => call("cancelReminder", id));
      line.append(button);
    }
    return line;
  });
  find("ol").replaceChildren(...lines);
}

function showSubscribed(isSubscribed) {
  find("#subscribe").hidden = isSubscribed;
  find("#unsubscribe").hidden = !isSubscribed;
}

async function attempt(what) {
  try {
    await what();
  } catch (error) {
    say(error.message);
  }
}

// Web Push

function bytes(base64url) {
  return Uint8Array.from(atob(base64url.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
}

async function subscribe() {
  if ((await Notification.requestPermission()) !== "granted") return say("The browser does not let us notify you.");
  const { pushManager } = await navigator.serviceWorker.ready;
  const applicationServerKey = bytes(await call("getVapidPublicKey"));
  const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
  await call("subscribe", subscription.toJSON());
  showSubscribed(true);
}

async function unsubscribe() {
  const { pushManager } = await navigator.serviceWorker.ready;
  const subscription = await pushManager.getSubscription();
  if (subscription) {
    await call("unsubscribe", subscription.endpoint);
    await subscription.unsubscribe();
  }
  showSubscribed(false);
}

find("#subscribe").onclick = () => attempt(subscribe);
find("#unsubscribe").onclick = () => attempt(unsubscribe);
find("#test").onclick = () =>
  attempt(async () => {
    const { sent, failed } = await call("sendTestNotification");
    say(`Sent to ${sent}, not to ${failed}.`);
  });
find("form").onsubmit = (event) => {
  event.preventDefault();
  const { message, seconds } = event.target.elements;
  attempt(async () => {
    await call("createReminder", message.value, Number(seconds.value));
    message.value = "";
  });
};

connect();
if ("serviceWorker" in navigator && "PushManager" in window) {
  const registration = await navigator.serviceWorker.register("/sw.js");
  showSubscribed((await registration.pushManager.getSubscription()) !== null);
} else {
  find("#subscribe").disabled = true;
  say("This browser knows no push notifications.");
}
