// Serves agents.mjs with the TypeScript SDK on workerd: node serve.mjs [port [folder that keeps the storage]]

import { serve } from "./workerd.mjs";

const CLASSES = ["Counter", "Keeper", "NoState", "AIAssistant", "Nameless", "Broken"];
const CHAT = ["Chat", "LatestChat", "MergingChat", "DroppingChat", "PatientChat", "ShortChat", "DiscreetChat", "TalkativeChat"];
const MORE = ["ForgetfulChat", "Timer", "Parent", "Child"];
const [port = "8787", storage] = process.argv.slice(2);

console.log(await serve(new URL("agents.mjs", import.meta.url), [...CLASSES, ...CHAT, ...MORE], port, storage));
