// The official JavaScript client, unmodified, against a running installation (see `. .mimeo/env`).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import test from "node:test";

import Replicate from "replicate";

const owner = process.env.MIMEO_OWNER;
const replicate = new Replicate({
  auth: process.env.REPLICATE_API_TOKEN,
  baseUrl: `${process.env.REPLICATE_BASE_URL}/v1`,
});
const hello = `${owner}/hello`;
const stream = `${owner}/stream-text`;

async function latest(name) {
  return (await replicate.models.get(owner, name)).latest_version.id;
}

test("is the official client", () => {
  const require = createRequire(import.meta.url);
  const path = require.resolve("replicate").replace(/replicate\/.*$/, "replicate/package.json");
  assert.equal(JSON.parse(readFileSync(path, "utf8")).version, "1.4.0");
});

test("runs a model by name", async () => {
  assert.equal(await replicate.run(hello, { input: { text: "JS" } }), "Hello JS!");
});

test("runs a version by polling, with progress", async () => {
  const seen = [];
  const output = await replicate.run(
    `${hello}:${await latest("hello")}`,
    { input: { text: "poll" }, wait: { mode: "poll", interval: 50 } },
    (prediction) => seen.push(prediction.status),
  );
  assert.equal(output, "Hello poll!");
  assert.equal(seen.at(-1), "succeeded");
});

test("creates, gets, lists and cancels", async () => {
  const made = await replicate.predictions.create({ version: await latest("hello"), input: { text: "a" } });
  const done = await replicate.wait(made, { interval: 50 });
  assert.equal(done.output, "Hello a!");
  assert.equal((await replicate.predictions.get(made.id)).status, "succeeded");
  const page = await replicate.predictions.list();
  assert.ok(page.results.some((p) => p.id === made.id));

  let running = await replicate.predictions.create({
    version: await latest("stream-text"),
    input: { text: "x ".repeat(1000), delay_ms: 100 },
  });
  const deadline = Date.now() + 30_000;
  while (running.status === "starting" && Date.now() < deadline) running = await replicate.predictions.get(running.id);
  const canceled = await replicate.predictions.cancel(running.id);
  assert.equal(canceled.status, "canceled");
});

test("paginates", async () => {
  let count = 0;
  for await (const page of replicate.paginate(replicate.models.list)) count += page.length;
  assert.ok(Number.isInteger(count));
});

test("streams tokens", async () => {
  let text = "";
  for await (const event of replicate.stream(stream, { input: { text: "a stream of words", delay_ms: 5 } })) {
    if (event.event === "output") text += event.data;
    assert.ok(["output", "done"].includes(event.event), event.event);
  }
  assert.equal(text, "a stream of words");
});

test("a failing model raises its own message", async () => {
  await assert.rejects(replicate.run(stream, { input: { text: "a b c", fail_at: 1 } }), /fail/i);
});

test("bad input is refused with the reason", async () => {
  await assert.rejects(replicate.run(hello, { input: { text: 7 } }), /422.*text/s);
});
