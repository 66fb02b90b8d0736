/** Arithmetic in words against integers: edge values, random values, and sums at the bound of what a column holds. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { field } from "../internals.js";

const { P } = field;
const EDGES = [
  0n, 1n, 2n, 2n ** 16n - 1n, 2n ** 16n, 2n ** 32n - 2n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 48n, 2n ** 63n, P - 2n ** 32n, P - 2n, P - 1n,
];

/** Random integers below p, the same in every run. */
function* numbers() {
  for (let seed = 1n; ; ) {
    seed = (seed * 6364136223846793005n + 1442695040888963407n) % 2n ** 128n;
    yield (seed >> 40n) % P;
  }
}

const random = numbers();
const next = () => random.next().value;
const mod = (value) => ((value % P) + P) % P;

function product([a0, a1, a2], [b0, b1, b2]) {
  const c3 = a1 * b2 + a2 * b1, c4 = a2 * b2;
  return [a0 * b0 + c3, a0 * b1 + a1 * b0 + c3 + c4, a0 * b2 + a1 * b1 + a2 * b0 + c4].map(mod);
}

/** All pairs of edge values, then random ones. */
function* pairs(count) {
  for (const a of EDGES) for (const b of EDGES) yield [a, b];
  for (let k = 0; k < count; k++) yield [next(), next()];
}

test("products in F", () => {
  const words = new Uint32Array(6);
  for (const [a, b] of pairs(5000)) {
    field.setBase(words, 0, a);
    field.setBase(words, 2, b);
    field.mulInto(words, 4, words, 0, words, 2);
    assert.equal(field.getBase(words, 4), mod(a * b));
  }
});

test("sums, differences and products in K", () => {
  const triples = [...pairs(2000)].map(([a, b]) => [a, b, next()]);
  triples.push(...EDGES.map((edge) => [edge, edge, edge]));
  triples.forEach((a, k) => {
    const b = triples[(k * 7 + 3) % triples.length];
    const [left, right] = [field.element(...a), field.element(...b)];
    assert.deepEqual(field.coordinates(field.add(left, right)), a.map((part, c) => mod(part + b[c])));
    assert.deepEqual(field.coordinates(field.sub(left, right)), a.map((part, c) => mod(part - b[c])));
    assert.deepEqual(field.coordinates(field.mul(left, right)), product(a, b));
  });
});

test("the largest products and sums that a column holds", () => {
  const largest = field.element(P - 1n, P - 1n, P - 1n);
  assert.deepEqual(field.coordinates(field.mul(largest, largest)), product([P - 1n, P - 1n, P - 1n], [P - 1n, P - 1n, P - 1n]));
  for (const edge of [P - 1n, 2n ** 64n - 2n ** 33n, 2n ** 32n - 1n]) {
    for (const count of [0, 1, 7, 8, 9, 100]) {
      const elements = new Uint32Array(2 * count), weights = new Uint32Array(6 * count);
      for (let k = 0; k < count; k++) {
        field.setBase(elements, 2 * k, edge);
        weights.set(largest, 6 * k);
      }
      const total = field.element(5, 6, 7);
      field.addDotInto(total, 0, elements, 0, weights, 0, count);
      assert.deepEqual(field.coordinates(total), [5n, 6n, 7n].map((start) => mod(start - mod(edge) * BigInt(count))));
    }
  }
});

test("weighted sums of random values", () => {
  const count = 50, elements = new Uint32Array(2 * count), weights = new Uint32Array(6 * count);
  let expected = [0n, 0n, 0n];
  for (let k = 0; k < count; k++) {
    const value = next(), weight = [next(), next(), next()];
    field.setBase(elements, 2 * k, value);
    weights.set(field.element(...weight), 6 * k);
    expected = expected.map((part, c) => mod(part + value * weight[c]));
  }
  const total = field.element(0);
  field.addDotInto(total, 0, elements, 0, weights, 0, count);
  assert.deepEqual(field.coordinates(total), expected);
});

test("inverses and powers", () => {
  for (let k = 0; k < 50; k++) {
    const a = k === 0 ? field.element(0, 0, 1) : field.element(next(), next(), next());
    assert.deepEqual(field.mul(a, field.inverse(a)), field.element(1));
    let power = field.element(1);
    field.powers(a, 12).forEach((word, i, all) => {
      if (i % 6 === 0) assert.deepEqual(all.slice(i, i + 6), field.power(a, i / 6));
    });
    for (let e = 0; e < 12; e++, power = field.mul(power, a)) assert.deepEqual(field.power(a, e), power);
  }
});

test("what is not below p is not canonical", () => {
  const words = (value) => Uint32Array.of(Number(value & 0xffffffffn), Number(value >> 32n));
  for (const value of [...EDGES, 2n ** 64n - 2n ** 32n]) assert.equal(field.areCanonical(words(value)), true, `${value}`);
  for (const value of [P, P + 1n, 2n ** 64n - 1n]) assert.equal(field.areCanonical(words(value)), false, `${value}`);
});
