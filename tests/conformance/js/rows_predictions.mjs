// Running models, predictions, lists, files.
import assert from "node:assert/strict";

import { client, clientOf, eventually, model, ref, site, unique, withReceiver } from "./checks.mjs";

const running = async (name, input) => {
  const made = await client.predictions.create({ version: site.versions[name], input });
  return eventually(async () => {
    const now = await client.predictions.get(made.id);
    return now.status === "processing" && now;
  });
};

// Every call of this client carries a JSON content type, also those without a body.
export async function row_003_types_without_bodies() {
  const seen = [];
  const watching = clientOf(site.token, {
    fetch: (url, init) => {
      seen.push([init.method, init.headers["Content-Type"], init.body]);
      return fetch(url, init);
    },
  });
  assert.ok((await watching.hardware.list()).length > 0);
  assert.ok((await watching.models.list()).results.length > 0);
  const made = await watching.predictions.create({ version: site.versions.probe, input: { delay_ms: 60_000 } });
  assert.equal((await watching.predictions.cancel(made.id)).status, "canceled");
  assert.deepEqual(seen.map(([, type]) => type), Array(4).fill("application/json"));
  assert.equal(seen.at(-1)[2], undefined);
}

export async function row_013_bad_input_is_refused_with_the_reason() {
  await assert.rejects(client.run(model("hello"), { input: { text: 7 } }), /422.*text/s);
}

export async function row_022_paginate() {
  const pager = clientOf(site.pager_token);
  for (const [list, least] of [[pager.predictions.list, 205], [pager.models.list, 30]]) {
    const ids = [];
    for await (const page of pager.paginate(list)) ids.push(...page.map((one) => one.id ?? one.url));
    assert.ok(ids.length >= least, `${ids.length} items`);
    assert.equal(new Set(ids).size, ids.length, "items came twice");
  }
}

export async function row_035_create_wait_get_list() {
  const made = await client.predictions.create({ version: site.versions.hello, input: { text: "a" } });
  assert.equal(made.status, "starting");
  assert.equal((await client.wait(made, { interval: 50 })).output, "Hello a!");
  assert.equal((await client.predictions.get(made.id)).status, "succeeded");
  const page = await client.predictions.list();
  assert.ok(page.results.some((one) => one.id === made.id), "it is not in the list");
}

export async function row_037_sync_wait_finished() {
  const made = await client.predictions.create({ version: site.versions.hello, input: { text: "s" }, wait: true });
  assert.equal(made.output, "Hello s!");
  assert.equal(made.status, "succeeded");
}

// With any other status than `starting` the client would take a half of the output for all of it.
export async function row_038_wait_expired() {
  const chunks = Array.from({ length: 20 }, (_, i) => `${i} `);
  const output = await client.run(model("probe-stream"), {
    input: { chunks, delay_ms: 120 }, wait: { mode: "block", timeout: 1, interval: 50 } });
  assert.deepEqual(output, chunks);
  const made = await client.predictions.create({ version: site.versions.probe, input: { delay_ms: 60_000 }, wait: 1 });
  assert.equal(made.status, "starting");
  assert.equal(made.output, null);
  await client.predictions.cancel(made.id);
}

// The client passes any number on; more than 60 is held back for less than 60 seconds.
export async function row_040_clamped_takes_a_minute() {
  let applied;
  const watching = clientOf(site.token, {
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      applied ??= [init.headers.Prefer, response.headers.get("Preference-Applied")];
      return response;
    },
  });
  const start = Date.now();
  const made = await watching.predictions.create({
    version: site.versions.probe, input: { delay_ms: 180_000 }, wait: 90 });
  const seconds = (Date.now() - start) / 1000;
  assert.deepEqual(applied, ["wait=90", "wait=60"]);
  assert.ok(seconds > 50 && seconds < 60, `it took ${seconds} s`);
  assert.equal(made.status, "starting");
  await client.predictions.cancel(made.id);
}

export async function row_042_a_failing_model_raises_its_own_message() {
  await assert.rejects(client.run(model("stream-text"), { input: { text: "a b c", fail_at: 1 } }),
    /Prediction failed: .*failed at token 1/);
  await assert.rejects(client.run(ref("probe"), { input: { fail: "it broke" }, wait: { mode: "poll", interval: 50 } }),
    /Prediction failed: .*it broke/);
}

export async function row_045_cancel_running() {
  const made = await running("probe", { delay_ms: 120_000 });
  const canceled = await client.predictions.cancel(made.id);
  assert.equal(canceled.status, "canceled");
  assert.equal(canceled.error, null);
  assert.equal(canceled.input.delay_ms, 120_000);
}

// On an abort signal the client cancels, and takes the answer for the prediction.
export async function row_045_abort_signal() {
  const stop = new AbortController();
  const seen = [];
  const output = await client.run(model("probe-stream"), {
    input: { chunks: Array(1000).fill("x"), delay_ms: 50 }, wait: { mode: "poll", interval: 50 }, signal: stop.signal,
  }, (prediction) => {
    seen.push(prediction.status);
    if (prediction.status === "processing") stop.abort();
  }).catch((error) => error);  // The client's own requests are aborted, too.
  assert.ok(seen.includes("processing") || output instanceof Error);
}

export async function row_052_file_outputs() {
  for (const wait of [{ mode: "block" }, { mode: "poll", interval: 50 }]) {
    const output = await client.run(model("probe-files"), { input: { count: 2, text: "content" }, wait });
    for (const [i, file] of output.entries()) {
      assert.ok(file.url().href.endsWith(`/part-${i}.txt`), file.url().href);
      assert.equal(file.url().protocol, "https:");
      assert.equal(await (await file.blob()).text(), "content");
    }
  }
  const nested = (await client.run(model("probe"), { input: { with_files: true } })).nested;
  assert.equal(await (await nested.one.blob()).text(), "one");
  assert.equal(await (await nested.list[1].blob()).text(), "three");
}

export async function row_054_file_inputs() {
  const document = new File(["text of a file"], "note.txt", { type: "text/plain" });
  const output = await client.run(model("probe"), { input: { document, documents: [document, Buffer.from("bytes")] } });
  assert.equal(output.document.text, "text of a file");
  assert.deepEqual(output.documents.map((one) => one.text), ["text of a file", "bytes"]);
  const made = await client.predictions.create({ version: site.versions.probe, input: { document } });
  assert.match(made.input.document, /^https:\/\/.*\/v1\/files\/\w+$/);
}

// Without an upload endpoint the client sends files inline. (Its option for that does not work.)
const failing = (status) => clientOf(site.token, {
  fetch: (url, init) => String(url).endsWith("/files") ? new Response("{}", { status }) : fetch(url, init) });

export async function row_055_data_uris() {
  const inline = await failing(500).run(model("probe"), { input: { document: new Blob(["x".repeat(50_000)]) } });
  assert.equal(inline.document.size, 50_000);
  // More than that overflows the client's own encoder: a URI that the caller made.
  const size = 7_000_000;
  const document = `data:text/plain;base64,${Buffer.alloc(size, "x").toString("base64")}`;
  assert.equal((await client.run(model("probe"), { input: { document } })).document.size, size);
}

export async function row_057_versionless() {
  assert.equal(await client.run(model("hello"), { input: { text: "JS" } }), "Hello JS!");
  const made = await client.predictions.create({ model: model("hello"), input: { text: "m" }, wait: true });
  assert.deepEqual([made.version, made.output], [site.versions.hello, "Hello m!"]);
}

export async function row_064_query() {
  const found = await client.models.search("probe");
  assert.ok(found.results.some((one) => one.name === "probe"), "the model is not found");
}

export async function row_081_deployments() {
  const name = unique("js");
  await client.deployments.create({
    name, model: model("probe"), version: site.versions.probe, hardware: "cpu", min_instances: 0, max_instances: 1 });
  await withReceiver(async (hooks) => {
    const made = await client.deployments.predictions.create(site.owner, name, {
      input: { text: "d" }, wait: 30, webhook: hooks.url, webhook_events_filter: ["completed"] });
    assert.deepEqual([made.status, made.output.text, made.deployment], ["succeeded", "d", model(name)]);
    assert.equal((await hooks.last(made.id)).json.deployment, model(name));
  });
  const stopped = await client.deployments.update(site.owner, name, { min_instances: 0, max_instances: 0 });
  assert.equal(stopped.current_release.number, 2);
}

export async function row_082_upload() {
  const file = await client.files.create(new File(["hey"], "hey.txt", { type: "text/plain" }), { a: "1" });
  assert.deepEqual([file.name, file.content_type, file.size, file.metadata], ["hey.txt", "text/plain", 3, { a: "1" }]);
  const blob = await client.files.create(new Blob(["hey"]));
  assert.equal(blob.size, 3);
  assert.equal((await client.files.get(file.id)).id, file.id);
  assert.ok((await client.files.list()).results.some((one) => one.id === file.id));
  assert.equal(await client.files.delete(file.id), true);
  await assert.rejects(client.files.get(file.id), /404/);
}

export async function row_104_run() {
  const seen = [];
  const output = await client.run(ref("hello"), {
    input: { text: "poll" }, wait: { mode: "poll", interval: 50 } }, (prediction) => seen.push(prediction.status));
  assert.equal(output, "Hello poll!");
  assert.equal(seen[0], "starting");
  assert.equal(seen.at(-1), "succeeded");
}

export async function row_104_paginate_and_secret() {
  let count = 0;
  for await (const page of client.paginate(client.models.list)) count += page.length;
  assert.ok(count > 25, `${count} models`);
  assert.match((await client.webhooks.default.secret.get()).key, /^whsec_/);
  assert.equal((await client.accounts.current()).username, site.owner);
}

// When uploads answer 5xx the client sends the file inline; a 4xx it shows.
export async function row_104_upload_fallback() {
  const document = new Blob(["fallback"]);
  const output = await failing(500).run(model("probe"), { input: { document } });
  assert.equal(output.document.text, "fallback");
  await assert.rejects(failing(422).run(model("probe"), { input: { document } }), /422/);
}
