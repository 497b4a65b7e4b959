// A real browser that a test drives: a command a line comes in as JSON, its answer goes out as JSON.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

// From the packages of the example that is tested.
const { chromium } = await import(join(process.cwd(), "node_modules", "playwright-core", "index.mjs"));

const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];

const context = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), "browser-")), {
  executablePath: process.argv[2],
  headless: true,
  viewport: { width: 720, height: 520 },
  args: [...QUIET, "--disable-component-update", "--disable-sync"],
});
const tabs = {};

const commands = {
  open: async ({ tab, url }) => {
    tabs[tab] = await context.newPage();
    await tabs[tab].goto(url);
  },
  reload: ({ tab }) => tabs[tab].reload(),
  say: async ({ tab, text }) => {
    await tabs[tab].getByLabel("Message").fill(text);
    await tabs[tab].getByRole("button", { name: "Send" }).click();
  },
  // Waits until the last answer holds a text, and returns all of it.
  answer: async ({ tab, text }) => {
    const last = tabs[tab].locator('[data-role="assistant"]').last();
    await last.filter({ hasText: text }).waitFor();
    return last.innerText();
  },
  click: ({ tab, button }) => tabs[tab].getByRole("button", { name: button, exact: true }).click(),
  ready: ({ tab }) => tabs[tab].locator('ol[data-status="ready"]').waitFor(),
  messages: ({ tab }) => tabs[tab].locator("[data-role]").allInnerTexts(),
  screenshot: async ({ tab, path }) => {
    await tabs[tab].screenshot({ path });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...options } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ result: (await commands[command](options)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error?.stack ?? error) }));
  }
}
await context.close();
