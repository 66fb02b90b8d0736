/** A verifier in a thread of its own: the same answers, in any order, and ends that reject. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError, verdict } from "../index.js";
import { VerifierWorker } from "../worker-node.js";
import { COMPOSITE, DEV, HELLO } from "../support/files.js";

test("several receipts at once", async () => {
  const worker = new VerifierWorker();
  const phases = [];
  const questions = [
    [HELLO.data, { imageId: HELLO.expected.image_id, onProgress: (phase) => phases.push(phase) }],
    [HELLO.data, { imageId: "00".repeat(32) }],
    [COMPOSITE.data, { imageId: COMPOSITE.imageId }],
    [DEV.data, { imageId: DEV.expected.image_id, allowDev: true }],
  ];
  const answers = await Promise.all(questions.map(([data, options]) => worker.verdict(data, options)));
  assert.deepEqual(answers, questions.map(([data, options]) => verdict(data, { ...options, onProgress: () => {} })));
  assert.ok(phases.includes("constraints"));
  await assert.rejects(worker.verdict(HELLO.data, {}), UsageError);
  worker.terminate();
});

test("a thread that is ended rejects, and another one starts", async () => {
  const worker = new VerifierWorker();
  const options = { imageId: HELLO.expected.image_id };
  const pending = worker.verdict(HELLO.data, options);
  worker.terminate();
  await assert.rejects(pending, /was ended/);
  assert.equal((await worker.verdict(HELLO.data, options)).accepted, true);
  worker.terminate();
});

test("options that cannot be sent are refused", async () => {
  const worker = new VerifierWorker();
  await assert.rejects(worker.verdict(HELLO.data, { imageId: () => "no" }));
  assert.equal((await worker.verdict(HELLO.data, { imageId: HELLO.expected.image_id })).accepted, true);
  worker.terminate();
});
