/** Merkle trees: the leaf rule, and the pruned multiproof of several leaves at once. */

import { blake3, keyed } from "./blake3.js";
import { ascii, concat, sameBytes } from "./bytes.js";
import { demand } from "./errors.js";

export const hashLeaf = keyed(blake3(ascii("zkvm/leaf/1")));
export const hashNode = keyed(blake3(ascii("zkvm/node/1")));

/** The digests of leaves: leaf_0 = H(row_0), leaf_l = H(leaf_(l-1) || row_l); the tallest row is followed by the salt. */
export function leafDigests(rows, salts) {
  return Array.from({ length: rows[0].rows }, (_, number) => {
    let digest = new Uint8Array(0);
    rows.forEach((matrix, level) => {
      const salted = salts !== null && level === rows.length - 1;
      digest = hashLeaf(salted ? concat(digest, matrix.row(number), salts.row(number)) : concat(digest, matrix.row(number)));
    });
    return digest;
  });
}

/**
 * How many siblings a multiproof of these leaves (ascending, each once) holds: on each level one for every node whose sibling is not
 * above an opened leaf itself.
 */
export function siblingCount(leafCount, indices) {
  let count = 0;
  walk(leafCount, indices, () => 0, () => void count++);
  return count;
}

/**
 * The root that follows from opened leaves and siblings, which come level by level from the bottom, ascending.
 * @param {number} leafCount a power of two
 * @param {number[]} indices ascending, each once
 * @param {Uint8Array[]} leaves digests at the indices
 * @param {Uint8Array[]} siblings as many as siblingCount says
 */
export function rootOf(leafCount, indices, leaves, siblings) {
  let used = 0;
  return walk(leafCount, indices, (k) => leaves[k], () => siblings[used++], (left, right) => hashNode(concat(left, right)));
}

/** Goes up the tree, level by level; `sibling` is called for each node that is not known, `join` for each parent. */
function walk(leafCount, indices, leaf, sibling, join = () => 0) {
  let nodes = indices, values = indices.map((_, k) => leaf(k));
  for (let size = leafCount; size > 1; size /= 2) {
    const parents = [], joined = [];
    for (let k = 0; k < nodes.length; k++) {
      const node = nodes[k];
      const paired = node % 2 === 0 && nodes[k + 1] === node + 1;
      const other = paired ? values[k + 1] : sibling();
      joined.push(node % 2 === 0 ? join(values[k], other) : join(other, values[k]));
      parents.push(Math.floor(node / 2));
      if (paired) k++;
    }
    [nodes, values] = [parents, joined];
  }
  return values[0];
}

/** Refuse rows that are not under their root: MERKLE, also if they, or the siblings, are more or fewer than the indices need. */
export function checkTree(name, root, leafCount, indices, { rows, salts, siblings }) {
  const opened = [...rows, ...(salts === null ? [] : [salts])].every((matrix) => matrix.rows === indices.length);
  const fits = opened && siblings.length === siblingCount(leafCount, indices);
  demand(fits, "MERKLE", () => `${name} opens other numbers of rows or siblings than ${indices.length} positions need`);
  const computed = rootOf(leafCount, indices, leafDigests(rows, salts), siblings);
  demand(sameBytes(computed, root), "MERKLE", `opened leaves do not lead to the root of ${name}`);
}
