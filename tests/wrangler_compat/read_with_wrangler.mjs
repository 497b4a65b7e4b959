// Reads configurations with wrangler's own reader: `node read_with_wrangler.mjs <folder of wrangler> < requests.json`.
// Each request is {path, env}; the answer has for each what wrangler refuses, or null.
import { createRequire } from "node:module";
import { join } from "node:path";
import { readFileSync } from "node:fs";

process.env.WRANGLER_LOG = "none";
process.env.WRANGLER_SEND_METRICS = "false";
const require = createRequire(join(process.argv[2], "package.json"));
const { unstable_readConfig } = require("wrangler");

const requests = JSON.parse(readFileSync(0, "utf8"));
const answers = requests.map(({ path, env }) => {
  try {
    unstable_readConfig({ config: path, env: env ?? undefined }, { hideWarnings: true });
    return null;
  } catch (error) {
    return String(error.message ?? error);
  }
});
process.stdout.write(JSON.stringify(answers) + "\n", () => process.exit(0));
