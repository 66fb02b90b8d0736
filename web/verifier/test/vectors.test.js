/** The vectors of tests/vectors: primitives, and every step of verifying a receipt. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { REASONS, verdict } from "../index.js";
import { blake3, bytes, check, field, joint, merkle, transcript, verify } from "../internals.js";
import { bytesOf, jsonOf } from "../support/files.js";

const primitives = jsonOf("vectors/primitives.json");
const strings = (element) => field.coordinates(element).map(String);
const elementOf = (texts) => field.element(...texts);

/** Records each state. */
class Recorder extends transcript.Transcript {
  step(label, state) {
    super.step(label, state);
    (this.states ??= []).push({ label, state: bytes.hex(state) });
  }
}

/** A matrix of one row, as the seal's reader makes them. */
function matrix(numbers) {
  const words = new Uint32Array(2 * numbers.length);
  numbers.forEach((number, k) => field.setBase(words, 2 * k, BigInt(number)));
  return { rows: 1, row: () => bytes.bytes32(words) };
}

test("field and extension", () => {
  assert.equal(String(field.P), primitives.field.p);
  for (const [log, root] of Object.entries(primitives.field.roots)) assert.equal(String(field.rootOfUnity(2 ** Number(log))), root);
  const { a, b, product, "inverse of a": inverse, "a^1000": power } = primitives.extension;
  assert.deepEqual(strings(field.mul(elementOf(a), elementOf(b))), product);
  assert.deepEqual(strings(field.inverse(elementOf(a))), inverse);
  assert.deepEqual(strings(field.power(elementOf(a), 1000)), power);
  for (const [height, shift] of Object.entries(primitives.domain["coset shifts"])) {
    assert.equal(String(field.cosetShift(Number(height))), shift);
  }
});

test("hashes", () => {
  assert.equal(bytes.hex(blake3.blake3(bytes.ascii("abc"))), primitives.blake3.abc);
  const { "rows, short to tall": rows, salt, digest } = primitives.leaf;
  const [leaf] = merkle.leafDigests(rows.map(matrix), matrix(salt));
  assert.equal(bytes.hex(leaf), digest);
  assert.equal(bytes.hex(merkle.hashNode(bytes.concat(leaf, leaf))), primitives.node["of that leaf twice"]);
});

test("BLAKE3 of every length around blocks and chunks", () => {
  const pattern = Uint8Array.from({ length: 10000 }, (_, i) => i % 251);
  const known = new Map([
    [0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"],
    [1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"],
  ]);
  for (const [length, digest] of known) assert.equal(bytes.hex(blake3.blake3(pattern.subarray(0, length))), digest);
  for (const [length, { plain, keyed, stream }] of Object.entries(primitives.blake3["by length"])) {
    const input = pattern.subarray(0, Number(length));
    assert.equal(bytes.hex(blake3.blake3(input)), plain);
    assert.equal(bytes.hex(blake3.keyed(pattern.subarray(0, 32))(input)), keyed);
    assert.equal(bytes.hex(blake3.blake3(input, 150)), stream);
  }
});

test("transcript", () => {
  const own = new Recorder(primitives.transcript.domain);
  own.absorbBytes("bytes", bytes.ascii("abc"));
  own.absorb("integer", 3, new Uint8Array(8).fill(255));
  const elements = new Uint32Array(6);
  [0n, 1n, field.P - 1n].forEach((value, k) => field.setBase(elements, 2 * k, value));
  own.absorbElements("elements", bytes.bytes32(elements));
  assert.deepEqual(strings(own.drawElement("challenge")), primitives.transcript.challenge);
  assert.deepEqual(own.drawPositions("indices", 5, 2 ** 20), primitives.transcript["indices below 2^20"]);
  assert.deepEqual(own.states, primitives.transcript.steps.map(({ label, state }) => ({ label, state })));
});

for (const name of ["hello", "tensors"]) test(`every step of a receipt: ${name}`, () => {
  const steps = jsonOf(`vectors/${name}.json`);
  const machine = check.machine();
  const read = check.decode(bytesOf(`vectors/${name}.receipt`));
  const demands = { exitCode: 0, allowDev: false };
  const statement = check.checkReceipt(machine, read, bytes.fromHex(steps["image id"]), demands);
  const recorder = new Recorder(verify.DOMAIN);
  const seen = verify.verifySeal(machine, statement, read.seal, { minSecurity: 100, regime: "best" }, { transcript: recorder });
  assert.equal(bytes.hex(machine.digest), steps["machine digest"]);
  assert.deepEqual(recorder.states, steps.transcript.map(({ label, state }) => ({ label, state })));
  assert.deepEqual(seen.positions, steps.positions);
  assert.deepEqual(strings(seen.combined), steps.constraints.combined);
  const { openings } = steps;
  assert.deepEqual(seen.batched.slice(0, 3).map(strings), openings["batched values"]);
  assert.deepEqual(seen.folded.map((layer) => layer.slice(0, 3).map(strings)), openings.layers.map(({ folded }) => folded));
  const trees = [read.seal.preprocessed, ...read.seal.salted];
  const leaves = trees.map(({ rows, salts }) => merkle.leafDigests(rows, salts).slice(0, 3).map(bytes.hex));
  assert.deepEqual(leaves, ["preprocessed", "main", "bus", "quotient"].map((name) => openings.leaves[name]));
});

test("the joint transcript of a run in segments", () => {
  const expected = jsonOf("vectors/segments.json");
  const machines = check.machines();
  assert.equal(bytes.hex(machines.segment.digest), expected["segment machine"]);
  assert.equal(bytes.hex(machines.memory.digest), expected["memory machine"]);
  const read = check.decode(bytesOf("vectors/segments.receipt"));
  const policy = { exitCode: 0, allowDev: false, maxSegments: expected.segments, minSecurity: 100, regime: "best" };
  const statement = check.checkReceipt(machines.whole, read, bytes.fromHex(expected["image id"]), policy);
  const { proofs } = read.segmented;
  const heights = proofs.map(({ shape }) => Object.fromEntries(shape.tables.map(({ chip, height }) => [chip.name, height])));
  assert.deepEqual(heights, expected.heights);
  const begun = [];
  joint.verifyJoint(statement.joint, statement.parts, proofs, policy, () => {}, (domain) => {
    const recorder = new Recorder(domain);
    begun.push([domain, recorder]);
    return recorder;
  });
  const states = expected["joint transcript"].map(({ label, state }) => ({ label, state }));
  const domains = [...proofs.map(() => joint.EARLY_DOMAIN), joint.JOINT_DOMAIN, ...proofs.map(() => joint.PART_DOMAIN)];
  assert.deepEqual(begun.map(([domain]) => domain), domains);
  assert.deepEqual(begun[proofs.length][1].states, states);
});

/** Refuses every case of a file, each for its reason; the reasons that none of them reaches. */
function refusedCases(name) {
  const told = jsonOf(`vectors/${name}-refused.json`), original = bytesOf(`vectors/${name}.receipt`);
  const names = { image_id: "imageId", exit_code: "exitCode", max_segments: "maxSegments", min_security: "minSecurity", regime: "regime" };
  for (const { what, pieces, demands, reason } of told.cases) {
    const data = bytes.concat(...pieces.map((piece) => (typeof piece === "string" ? bytes.fromHex(piece) : original.subarray(...piece))));
    const options = Object.fromEntries(Object.entries(demands).map(([name, value]) => [names[name], value]));
    const answer = verdict(data, { imageId: told["image id"], ...options });
    assert.deepEqual([what, answer.accepted, answer.reason], [what, false, reason]);
  }
  const reached = new Set(told.cases.map(({ reason }) => reason));
  return REASONS.filter((reason) => !reached.has(reason));
}

test("receipts of runs in segments that must be refused", () => {
  assert.deepEqual(refusedCases("segments"), ["MODEL", "FRI"]);
});

test("receipts with other sums that must be refused", () => {
  assert.ok(!refusedCases("tensors").some((reason) => ["BUS", "OOD", "MERKLE", "CLAIM"].includes(reason)));
});
