// Event streams and webhooks.
import assert from "node:assert/strict";

import { validateWebhook } from "replicate";

import { client, clientOf, model, ref, site, withReceiver } from "./checks.mjs";

const chunks = ["Once", " upon", "\n", " a\ntime\n\n", "", "  two blanks", "☃ and 🦙", "end "];

async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

export async function row_089_secret() {
  const { key } = await client.webhooks.default.secret.get();
  assert.match(key, /^whsec_[A-Za-z0-9+/]{32}$/);
  assert.equal((await client.webhooks.default.secret.get()).key, key);
}

export async function row_090_signature() {
  assert.ok(await validateWebhook({
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: "1614265330", body: '{"test": 2432232314}',
    signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }));
  const { key } = await client.webhooks.default.secret.get();
  await withReceiver(async (hooks) => {
    const made = await client.predictions.create({
      version: site.versions.hello, input: { text: "später ☃" }, webhook: hooks.url, webhook_events_filter: ["completed"] });
    const { headers, body } = await hooks.last(made.id);
    const request = (text) => new Request("http://x/", { method: "POST", headers, body: text });
    assert.equal(await validateWebhook(request(body), key), true);
    assert.equal(await validateWebhook(request(`${body} `), key), false);
  });
}

export async function row_095_stream_url() {
  const made = await client.predictions.create({ version: site.versions["probe-stream"], input: { chunks: ["x"] } });
  assert.match(made.urls.stream, /^https:\/\//);
  const response = await fetch(made.urls.stream, { headers: { Accept: "text/event-stream" } });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type"), /^text\/event-stream/);
  await response.body.cancel();
  const none = await client.predictions.create({ version: site.versions.hello, input: { text: "x" } });
  assert.ok(!("stream" in none.urls), "a model that cannot stream has a stream URL");
}

export async function row_096_events() {
  const ended = await collect(client.stream(model("probe-stream"), { input: { chunks: ["a", "b"] } }));
  assert.deepEqual(ended.map((one) => [one.event, one.data]), [["output", "a"], ["output", "b"], ["done", "{}"]]);
  assert.equal(new Set(ended.map((one) => one.id)).size, 3);
  for (const one of ended) assert.match(one.id, /^\d+:\d+$/);
}

export async function row_096_canceled() {
  const made = [];
  const watching = clientOf(site.token, {
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      if (init.method === "POST") made.push((await response.clone().json()).id);
      return response;
    },
  });
  const events = [];
  for await (const event of watching.stream(ref("probe-stream"), { input: { chunks: Array(500).fill("x"), delay_ms: 50 } })) {
    if (events.push(event) === 1) await client.predictions.cancel(made[0]);
  }
  assert.deepEqual([events.at(-1).event, JSON.parse(events.at(-1).data)], ["done", { reason: "canceled" }]);
}

export async function row_096_failed() {
  const seen = await collect(client.stream(model("probe-stream"), { input: { chunks: ["a"], fail: "it broke" } }))
    .catch((error) => error);
  if (seen instanceof Error) return assert.match(seen.message, /it broke/);
  assert.deepEqual(seen.map((one) => one.event), ["output", "error", "done"]);
  assert.match(JSON.parse(seen[1].data).detail, /it broke/);
  assert.deepEqual(JSON.parse(seen[2].data), { reason: "error" });
}

export async function row_097_chunks_survive() {
  const events = await collect(client.stream(model("probe-stream"), { input: { chunks, delay_ms: 5 } }));
  const outputs = events.filter((one) => one.event === "output").map((one) => one.data);
  assert.equal(outputs.join(""), chunks.join(""));
}

export async function row_098_paths() {
  const text = await client.predictions.create({ version: site.versions["probe-stream"], input: { chunks: ["a"] } });
  assert.ok(!new URL(text.urls.stream).pathname.startsWith("/v1/files/"), text.urls.stream);
  const files = await client.predictions.create({ version: site.versions["probe-files"], input: { count: 1 } });
  assert.ok(new URL(files.urls.stream).pathname.startsWith("/v1/files/"), files.urls.stream);
  const events = await collect(client.stream(model("probe-files"), { input: { count: 2, text: "of a file" } }));
  const outputs = events.filter((one) => one.event === "output");
  assert.equal(outputs.length, 2);
  for (const one of outputs) assert.equal(await (await one.data.blob()).text(), "of a file");
}

export async function row_104_stream() {
  let text = "";
  for await (const event of client.stream(model("stream-text"), { input: { text: "a stream of words", delay_ms: 5 } })) {
    if (event.event === "output") text += String(event);
    assert.ok(["output", "done"].includes(event.event), event.event);
  }
  assert.equal(text, "a stream of words");
}
