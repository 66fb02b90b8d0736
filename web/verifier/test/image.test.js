/** Image IDs of programs: those of the committed guests, and files that are no programs; transforms against sums. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { computeImageId, UsageError } from "../index.js";
import { elf, field, instructions, transform } from "../internals.js";
import { VerifierWorker } from "../worker-node.js";

const GUESTS = new URL("../../../guest_programs/", import.meta.url);
const IDS = JSON.parse(readFileSync(new URL("image_ids.json", GUESTS), "utf8"));
const guest = (name) => new Uint8Array(readFileSync(new URL(`${name}/${name}.elf`, GUESTS)));

test("the image ID of a program with constants of tensor calls", () => {
  const shares = [];
  assert.equal(computeImageId(guest("attention"), { onProgress: (phase, share) => shares.push(share) }), IDS.attention);
  assert.equal(shares.every((share, k) => k === 0 || share >= shares[k - 1]), true);
  assert.equal(shares.at(-1), 1);
});

test("in a thread", async () => {
  const worker = new VerifierWorker();
  assert.equal(await worker.computeImageId(guest("echo").buffer), IDS.echo);
  await assert.rejects(worker.computeImageId(new Uint8Array(3)), UsageError);
  worker.terminate();
});

test("files that are no programs", () => {
  const changes = {
    class: [4, 2], order: [5, 2], type: [16, 3], machine: [18, 3], compressed: [36, 1], headers: [42, 31], entry: [24, 1], many: [45, 9],
  };
  const plain = guest("hello");
  for (const [name, [place, value]] of Object.entries(changes)) {
    const changed = plain.slice();
    changed[place] = value;
    assert.throws(() => computeImageId(changed), UsageError, name);
  }
  for (const length of [0, 3, 51, 52, 100, 600]) assert.throws(() => elf.readElf(plain.subarray(0, length)), UsageError, String(length));
  assert.throws(() => computeImageId("hello.elf"), UsageError);
});

test("words that are no instructions have no row", () => {
  assert.equal(instructions.programRow(4096, 0xffff_ffff), null);
  assert.equal(instructions.programRow(4096, 0), null);
  assert.deepEqual(instructions.programRow(4096, 0x0000_0013), [3, 2 ** 32 + 32, 2 ** 32, 0, 0]);
});

test("values on a coset are those of the polynomial", () => {
  const height = 8, shift = 12345678901234567n;
  const values = [0n, 1n, field.P - 1n, field.P - (1n << 32n), 1n << 32n, (1n << 32n) - 1n, 7n, 1n << 63n];
  const column = new Uint32Array(2 * height);
  values.forEach((value, k) => field.setBase(column, 2 * k, value));
  const own = new transform.Transform(height), root = field.rootOfUnity(height);
  own.interpolate(column);
  const found = own.evaluate(column, own.scales(shift));
  const coefficients = values.map((_, degree) => {
    const sum = values.reduce((total, value, k) => total + value * field.basePower(root, BigInt((height - degree) * k)), 0n);
    return field.mod(sum * field.baseInverse(BigInt(height)));
  });
  for (let k = 0; k < height; k++) {
    const point = shift * field.basePower(root, BigInt(k));
    const expected = coefficients.reduceRight((value, coefficient) => field.mod(value * point + coefficient), 0n);
    assert.equal(field.getBase(found, 2 * k), expected, `point ${k}`);
  }
});
