// The official JavaScript client, unmodified.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { run } from "./checks.mjs";
import * as predictions from "./rows_predictions.mjs";
import * as streams from "./rows_streams.mjs";

const wanted = "1.4.0";
const path = createRequire(import.meta.url).resolve("replicate").replace(/replicate\/.*$/, "replicate/package.json");
if (JSON.parse(readFileSync(path, "utf8")).version !== wanted) {
  console.error(`this is not replicate ${wanted}`);
  process.exit(1);
}
await run([predictions, streams]);
