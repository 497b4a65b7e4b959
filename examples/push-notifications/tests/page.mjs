// A user in a real browser. Arguments: playwright's module, the browser, and the page's URL.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [, , playwright, executablePath, url] = process.argv;
const { chromium } = await import(playwright);

const context = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), "browser-")), {
  executablePath,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
await context.grantPermissions(["notifications"], { origin: url });
const page = await context.newPage();
const tell = (value) => console.log(JSON.stringify(value));
page.on("pageerror", (error) => tell(`page error: ${error.message}`));
// The browser's own push service is not on this machine: one that answers as it does stands in.
await page.addInitScript(() => {
  let subscription = null;
  PushManager.prototype.getSubscription = async () => subscription;
  PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
    if (!userVisibleOnly || applicationServerKey.length !== 65) throw new Error("That is no key.");
    const endpoint = "https://127.0.0.1:1/push";
    const keys = { p256dh: btoa(String.fromCharCode(...applicationServerKey)), auth: "AAAAAAAAAAAAAAAAAAAAAA" };
    const unsubscribe = async () => ((subscription = null), true);
    return (subscription = { endpoint, unsubscribe, toJSON: () => ({ endpoint, expirationTime: null, keys }) });
  };
});
const devtools = await context.newCDPSession(page);
const registered = new Promise((resolve) => {
  devtools.on("ServiceWorker.workerVersionUpdated", ({ versions }) => {
    const active = versions.find(({ status }) => status === "activated");
    if (active) resolve(active.registrationId);
  });
});
await devtools.send("ServiceWorker.enable");
const click = (name) => page.getByRole("button", { name, exact: true }).click();
const set = async (message) => {
  await page.getByLabel("Message").fill(message);
  await click("Set");
};

try {
  await page.goto(url);
  await set("Stretch");
  await page.getByText("Stretch (").waitFor();
  await click("Cancel");
  await page.getByText("Stretch (").waitFor({ state: "detached" });
  tell("a reminder was cancelled");

  await click("Notify me");
  await page.getByRole("button", { name: "Do not notify me" }).waitFor();
  await click("Test");
  await page.getByText("Sent to 0, not to 1.").waitFor();
  await click("Do not notify me");
  await page.getByRole("button", { name: "Notify me", exact: true }).waitFor();
  await click("Test");
  await page.getByText("Sent to 0, not to 0.").waitFor();
  tell("the browser subscribed and unsubscribed");

  await set("Drink");
  await page.getByText("A reminder was sent.").waitFor();
  tell(await page.locator("ol").innerText());

  // What is delivered while the worker is being stopped or started may be lost: again, until it is shown.
  const push = { origin: url, registrationId: await registered };
  const data = JSON.stringify({ title: "Reminder", body: "Drink", tag: "reminder-1" });
  const notification = async () => {
    const [first] = await (await navigator.serviceWorker.ready).getNotifications();
    return first && { title: first.title, body: first.body, tag: first.tag };
  };
  let shown;
  for (let attempt = 0; !shown && attempt < 200; attempt++) {
    if (attempt % 20 === 0) await devtools.send("ServiceWorker.deliverPushMessage", { ...push, data });
    shown = await page.evaluate(notification);
    if (!shown) await page.waitForTimeout(50);
  }
  tell(shown ?? "nothing was shown");
} finally {
  await context.close();
}
