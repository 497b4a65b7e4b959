// A user in a real browser. Arguments: playwright's module, the browser, and the URLs of the page and of three servers.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [, , playwright, executablePath, url, counter, booking, guarded] = process.argv;
const { chromium } = await import(playwright);

const context = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), "browser-")), {
  executablePath,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
});
const page = await context.newPage();
const tell = (value) => console.log(JSON.stringify(value));
page.on("pageerror", (error) => tell(`page error: ${error.message}`));
const tool = (name) => page.locator("#tools form", { hasText: name });

async function add(name, server) {
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("URL").fill(server);
  await page.getByRole("button", { name: "Add" }).click();
}

try {
  await page.goto(url);

  await add("counter", counter);
  await page.getByText("counter: ready").waitFor();
  tell(await page.locator("#rest").innerText());
  await tool("counter: add").getByLabel("A").fill("4");
  await tool("counter: add").getByRole("button", { name: "Run" }).click();
  await page.getByText("Added 4, total is now 5").waitFor();
  tell("a tool was run");

  await add("booking", booking);
  await tool("booking: book").getByRole("button", { name: "Run" }).click();
  await page.getByText("How many guests?").waitFor();
  await page.getByLabel("Guests").fill("3");
  await page.getByRole("button", { name: "Answer" }).click();
  await page.getByText("a table for 3").waitFor();
  tell("a question was answered");

  await add("guarded", guarded);
  const opened = context.waitForEvent("page");
  await page.getByRole("button", { name: "Authorize" }).click();
  const popup = await opened;
  if (!popup.isClosed()) await popup.waitForEvent("close");
  await page.getByText("guarded: ready").waitFor();
  tell("the agent was authorized");

  await page.locator("#servers div", { hasText: "guarded" }).getByRole("button", { name: "Remove" }).click();
  await page.getByText("guarded: ready").waitFor({ state: "detached" });
  await add("nobody", "http://127.0.0.1:1/mcp");
  await page.locator("output", { hasText: "Failed to connect" }).waitFor();
  tell(await page.locator("#servers").innerText());
} finally {
  await context.close();
}
