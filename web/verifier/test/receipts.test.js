/** Whole receipts: frozen ones are accepted, whatever is changed is refused with a reason, and nothing else is ever thrown. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { FormatError, inspect, REASONS, UsageError, VerificationError, verdict, verify } from "../index.js";
import { COMPOSITE, DEV, FROZEN, HELLO, TENSORS } from "../support/files.js";

const text = (bytes) => Buffer.from(bytes).toString("hex");
const refused = (data, options) => {
  const answer = verdict(data, options);
  assert.equal(answer.accepted, false);
  assert.ok(REASONS.includes(answer.reason));
  return answer.reason;
};

for (const { name, expected, data } of FROZEN) {
  test(`${name} is accepted`, () => {
    const claim = verify(data, { imageId: expected.image_id, minSecurity: expected.security_bits, allowDev: expected.dev });
    const { journal, zk, dev } = expected;
    assert.deepEqual({ journal: text(claim.journal), zk: claim.zk, dev: claim.dev }, { journal, zk, dev });
    assert.equal(claim.imageId, expected.image_id);
    assert.ok(claim.securityBits >= expected.security_bits);
    const inside = inspect(data);
    assert.deepEqual([inside.imageId, inside.dev, inside.zk, inside.receiptBytes], [claim.imageId, dev, zk, data.length]);
    assert.equal(Object.keys(inside.heights).length > 0, !dev);
  });

  test(`${name} is refused for another image`, () => {
    assert.equal(refused(data, { imageId: "00".repeat(32), allowDev: true }), "IMAGE_ID");
  });
}

test("what the caller demands", () => {
  const imageId = HELLO.expected.image_id;
  assert.equal(verdict(HELLO.data, { imageId: [imageId, imageId] }).accepted, true);
  assert.equal(verdict(HELLO.data, { imageId: `0x${imageId}` }).accepted, true);
  assert.equal(verdict(HELLO.data.buffer, { imageId: new Uint8Array(Buffer.from(imageId, "hex")) }).accepted, true);
  assert.equal(refused(HELLO.data, { imageId: [imageId, "11".repeat(32)] }), "IMAGE_ID");
  assert.equal(refused(HELLO.data, { imageId, exitCode: 1 }), "POLICY");
  assert.equal(refused(HELLO.data, { imageId, minSecurity: 104 }), "POLICY");
  assert.equal(refused(HELLO.data, { imageId, minSecurity: Number.NaN }), "POLICY");
  assert.equal(refused(HELLO.data, { imageId, regime: "unique" }), "POLICY");
  assert.equal(verdict(HELLO.data, { imageId, regime: "unique", minSecurity: 66 }).securityBits, 66);
  assert.equal(refused(DEV.data, { imageId: DEV.expected.image_id }), "POLICY");
});

test("options that make no sense", () => {
  const imageId = HELLO.expected.image_id;
  const wrong = [
    {}, { imageId: null }, { imageId: "" }, { imageId: [] }, { imageId: imageId.slice(1) }, { imageId: `${imageId}00` }, { imageId: 7 },
    { imageId: "zz".repeat(32) }, { imageId: new Uint8Array(31) }, { imageId, regime: "Unique" }, { imageId, regime: "" },
    { imageId, weightsDigest: "00" }, { imageId, minSecurity: "100" }, { imageId, minSecurity: null }, { imageId, minSecurty: 128 },
    { imageId, allowDev: 1 }, { imageId, allowDev: "false" }, { imageId, exitCode: "0" }, { imageId, exitCode: null },
    { imageId, model: {} }, { imageId, maxSegments: "2" }, { imageId, maxSegments: 1.5 }, { imageId, maxSegments: null },
    { imageId, onProgress: 7 }, null, undefined, "text",
  ];
  for (const options of wrong) assert.throws(() => verdict(HELLO.data, options), UsageError, JSON.stringify(options));
  for (const data of ["text", null, undefined, 7, [1, 2]]) assert.throws(() => verdict(data, { imageId }), UsageError);
});

test("progress goes from 0 to 1", () => {
  const seen = [];
  verify(HELLO.data, { imageId: HELLO.expected.image_id, onProgress: (phase, share) => seen.push([phase, share]) });
  const shares = seen.map(([, share]) => share);
  assert.deepEqual(shares, [...shares].sort((a, b) => a - b));
  assert.deepEqual([seen[0], seen[seen.length - 1]], [["decode", 0], ["", 1]]);
  assert.ok(new Set(seen.map(([phase]) => phase)).size >= 5);
});

test("every shorter receipt is refused by its format", () => {
  const options = { imageId: HELLO.expected.image_id };
  const lengths = [...Array(600).keys(), ...Array.from({ length: 40 }, (_, k) => HELLO.data.length - 1 - 977 * k)];
  for (const length of lengths) assert.throws(() => verify(HELLO.data.subarray(0, length), options), FormatError);
  assert.throws(() => verify(new Uint8Array(HELLO.data.length + 1).fill(0), options), FormatError);
  assert.throws(() => verify(Uint8Array.of(...DEV.data, 0), { imageId: DEV.expected.image_id, allowDev: true }), FormatError);
  const long = new Uint8Array(2 ** 24 + 1);
  assert.throws(() => verify(long, options), /no receipt is that long, but those of runs in segments/);
  long.set(COMPOSITE.data);
  assert.throws(() => verify(long, options), /bytes too many/);
});

test("one changed bit anywhere is refused", () => {
  const options = { imageId: HELLO.expected.image_id };
  const reasons = new Set();
  const step = Math.floor((HELLO.data.length - 700) / 150);
  const places = [...Array(700).keys(), ...Array.from({ length: 150 }, (_, k) => 700 + step * k)];
  for (const place of places) {
    const data = HELLO.data.slice();
    data[place] ^= 1 << (place % 8);
    reasons.add(refused(data, options));
  }
  for (const reason of ["FORMAT", "CLAIM", "IMAGE_ID", "BUS", "OOD", "MERKLE", "GRINDING"]) assert.ok(reasons.has(reason), reason);
});

test("a run with tensor calls", () => {
  const { data, imageId } = TENSORS;
  const claim = verify(data, { imageId });
  const numbers = Array.from(new Int32Array(claim.journal.slice().buffer));
  assert.deepEqual([numbers.length, Math.max(...numbers), claim.exitCode, claim.zk], [16, 120, 0, false]);
  const { heights } = inspect(data);
  for (const chip of ["call", "tiles", "products", "results", "apply", "maxima"]) assert.ok(heights[`tensor_${chip}`] >= 512, chip);
  assert.equal(refused(data, { imageId: HELLO.expected.image_id }), "IMAGE_ID");
  const reasons = new Set();
  for (let k = 0; k < 60; k++) {
    const changed = data.slice();
    changed[k < 40 ? 29 * k : (k * 7919 * 37) % data.length] ^= 1 << (k % 8);
    reasons.add(refused(changed, { imageId }));
  }
  for (const reason of ["FORMAT", "IMAGE_ID", "CLAIM", "OOD", "MERKLE"]) assert.ok(reasons.has(reason), [...reasons].join());
});

test("a run in segments", () => {
  const { data, imageId, segments } = COMPOSITE;
  const claim = verify(data, { imageId, maxSegments: segments });
  const said = { journal: text(claim.journal), exitCode: claim.exitCode, bits: claim.securityBits, zk: claim.zk, dev: claim.dev };
  assert.deepEqual(said, { journal: text(Buffer.from("hello")), exitCode: 0, bits: 103, zk: false, dev: false });
  assert.equal(refused(data, { imageId, maxSegments: segments - 1 }), "POLICY");
  assert.equal(refused(data, { imageId, minSecurity: 104 }), "POLICY");
  assert.equal(refused(data, { imageId, exitCode: 1 }), "POLICY");
  assert.equal(refused(data, { imageId: DEV.expected.image_id }), "IMAGE_ID");
  assert.equal(verdict(data, { imageId, regime: "unique", minSecurity: 66 }).securityBits, 66);
});

test("what is inside a run in segments", () => {
  const inside = inspect(COMPOSITE.data);
  const proofs = [inside.memory, ...inside.segments];
  assert.equal(inside.segments.length, COMPOSITE.segments);
  assert.deepEqual([inside.dev, inside.heights, inspect(HELLO.data).memory, inspect(HELLO.data).segments], [false, {}, null, []]);
  assert.deepEqual(inside.segments.map(({ journalBytes }) => journalBytes).reduce((a, b) => a + b), 5);
  assert.ok(inside.memory.heights.ram_image === 512 && inside.segments.every(({ heights }) => heights.hand_over === 512));
  const bytes = proofs.reduce((total, own) => total + own.bytes, 0);
  assert.ok(bytes < COMPOSITE.data.length && bytes > COMPOSITE.data.length - 600);
});

test("progress goes through all proofs of a run in segments", () => {
  const seen = [];
  verify(COMPOSITE.data, { imageId: COMPOSITE.imageId, onProgress: (phase, share) => seen.push([phase, share]) });
  const shares = seen.map(([, share]) => share);
  assert.deepEqual(shares, [...shares].sort((a, b) => a - b));
  assert.deepEqual([seen[0], seen[seen.length - 1]], [["decode", 0], ["", 1]]);
  for (const part of ["memory", "segment 1 of 3", "segment 2 of 3", "segment 3 of 3"]) {
    assert.ok(seen.filter(([phase]) => phase.startsWith(`${part}: `)).length >= 4, part);
  }
});

test("changed bits and shorter files of a run in segments are refused", () => {
  const { data, imageId } = COMPOSITE;
  const reasons = new Set();
  for (let k = 0; k < 60; k++) {
    const changed = data.slice();
    changed[k < 40 ? 11 * k : (k * 7919 * 37) % data.length] ^= 1 << (k % 8);
    reasons.add(refused(changed, { imageId }));
  }
  for (const reason of ["FORMAT", "IMAGE_ID", "MERKLE"]) assert.ok(reasons.has(reason), [...reasons].join());
  for (let length = 0; length < data.length; length += 19937) {
    assert.throws(() => verify(data.subarray(0, length), { imageId }), FormatError);
  }
});

test("random bytes are refused", () => {
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) >>> 24;
  for (let length = 0; length < 3000; length += 37) {
    assert.equal(refused(Uint8Array.from({ length }, random), { imageId: "00".repeat(32) }), "FORMAT");
  }
});

test("bytes that change while they are verified do not matter", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(HELLO.data.length));
  shared.set(HELLO.data);
  const claim = verify(shared, { imageId: HELLO.expected.image_id, onProgress: (phase) => phase === "statement" && shared.fill(0) });
  assert.equal(text(claim.journal), HELLO.expected.journal);
});

test("a refusal says why", () => {
  assert.throws(() => verify(HELLO.data, { imageId: "00".repeat(32) }), (error) => {
    assert.ok(error instanceof VerificationError && !(error instanceof FormatError));
    assert.match(error.message, new RegExp(`^IMAGE_ID: the receipt is for image ${HELLO.expected.image_id}`));
    return error.name === "VerificationError";
  });
});
