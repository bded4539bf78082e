// Checks in JavaScript: exported functions named row_NNN_what, reported as one line of JSON each (as suite/checks.py does).
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFileSync } from "node:fs";

import Replicate from "replicate";

export const site = JSON.parse(readFileSync(process.env.MIMEO_CONFORMANCE_SITE, "utf8"));
export const client = clientOf(site.token);
const atOnce = 5;

export function clientOf(auth, options = {}) {
  return new Replicate({ auth, baseUrl: `${site.url}/v1`, ...options });
}

export const model = (name) => `${site.owner}/${name}`;
export const ref = (name) => `${site.owner}/${name}:${site.versions[name]}`;

let names = 0;
export const unique = (word) => `${word}-${process.pid}-${++names}`;

export async function eventually(condition, limitMs = 30_000, what = "it") {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `${what} did not happen within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// Runs `use` with a receiver of webhooks: {url, last(id)}.
export async function withReceiver(use) {
  const requests = [];
  const server = createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts).toString();
      requests.push({ headers: request.headers, path: request.url, body, json: JSON.parse(body) });
      response.end();
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const last = (id) => eventually(
    () => requests.find((r) => r.json.id === id && ["succeeded", "failed", "canceled"].includes(r.json.status)),
    30_000, `the webhook of the end of ${id}`);
  try {
    return await use({ url: `http://127.0.0.1:${server.address().port}`, last });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function runOne({ row, name, check }) {
  const start = Date.now();
  let status = "pass";
  let detail = "";
  try {
    try {
      await check();
    } catch (error) {
      if (!name.includes("_takes_a_minute")) throw error;
      await check();  // It measures seconds, which a busy machine may spoil once.
    }
  } catch (error) {
    status = "fail";
    const line = /rows_\w+\.mjs:\d+/.exec(error.stack ?? "");
    detail = `${String(error.message ?? error).slice(0, 800)}${line ? ` (${line[0]})` : ""}`;
  }
  console.log(JSON.stringify({ row, client: "js", check: name, status, detail, seconds: (Date.now() - start) / 1000 }));
}

export async function run(modules) {
  const wanted = new Set((process.env.MIMEO_CONFORMANCE_ROWS ?? "").split(",").filter(Boolean).map(Number));
  const found = [];
  for (const module of modules) {
    for (const [exported, check] of Object.entries(module)) {
      const match = /^row_(\d{3})_(\w+)$/.exec(exported);
      if (!match || (wanted.size > 0 && !wanted.has(Number(match[1])))) continue;
      found.push({ row: Number(match[1]), name: match[2], check });
    }
  }
  // Those that take a minute begin at once, beside the others.
  const slow = found.filter((one) => one.name.endsWith("_takes_a_minute")).map(runOne);
  const queue = found.filter((one) => !one.name.endsWith("_takes_a_minute"));
  const worker = async () => {
    while (queue.length > 0) await runOne(queue.shift());
  };
  await Promise.all([...slow, ...Array.from({ length: atOnce }, worker)]);
}
