// Serves bench.mjs with the TypeScript SDK on workerd: node serve.mjs port folder

import { serve } from "../../tests/clients/workerd/workerd.mjs";

const [port, folder] = process.argv.slice(2);

console.log(await serve(new URL("bench.mjs", import.meta.url), ["Bench", "Shared"], port, folder));
