/** An opened tree is checked as a whole: nothing of it may be missing or left over, whoever counted before. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { errors, merkle } from "../internals.js";

const LEAVES = 8, INDICES = [1, 4, 5];

/** Rows of so many bytes each, as the seal's reader makes them. */
function matrix(rows, rowBytes, seed) {
  const data = Uint8Array.from({ length: rows * rowBytes }, (_, k) => (k * k + seed) % 251);
  return { rows, row: (k) => data.subarray(rowBytes * k, rowBytes * (k + 1)) };
}

function chosen(own, numbers) {
  return { rows: numbers.length, row: (k) => own.row(numbers[k]) };
}

const rows = [matrix(LEAVES, 16, 1), matrix(LEAVES, 8, 2)], salts = matrix(LEAVES, 16, 3);
const leaves = merkle.leafDigests(rows, salts);
const root = merkle.rootOf(LEAVES, [...leaves.keys()], leaves, []);
const node = (a, b) => merkle.rootOf(2, [0, 1], [leaves[a], leaves[b]], []);
/** Of leaf 1 its neighbour; then the nodes beside those over 0 and 1, and over 4 and 5. */
const siblings = [leaves[0], node(2, 3), node(6, 7)];
const honest = { rows: rows.map((own) => chosen(own, INDICES)), salts: chosen(salts, INDICES), siblings };

function checked(changes) {
  merkle.checkTree("the tree", root, LEAVES, INDICES, { ...honest, ...changes });
}

test("an honest opening", () => {
  assert.equal(merkle.siblingCount(LEAVES, INDICES), siblings.length);
  checked({});
});

test("another number of rows, salts or siblings", () => {
  const fewer = INDICES.slice(1), more = [...INDICES, 7];
  for (const changes of [
    { siblings: siblings.slice(1) },
    { siblings: [...siblings, leaves[0]] },
    { siblings: [] },
    ...[fewer, more].flatMap((numbers) => [
      { salts: chosen(salts, numbers) },
      { rows: [honest.rows[0], chosen(rows[1], numbers)] },
      { rows: [chosen(rows[0], numbers), honest.rows[1]] },
    ]),
  ]) {
    assert.throws(() => checked(changes), (error) => {
      assert.ok(error instanceof errors.VerificationError);
      assert.equal(error.message, "MERKLE: the tree opens other numbers of rows or siblings than 3 positions need");
      return true;
    });
  }
});

test("other contents", () => {
  for (const changes of [{ siblings: siblings.toReversed() }, { salts: chosen(salts, [1, 4, 6]) }]) {
    assert.throws(() => checked(changes), /MERKLE: opened leaves do not lead to the root of the tree/);
  }
});
