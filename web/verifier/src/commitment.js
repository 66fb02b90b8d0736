/**
 * The roots of a program's preprocessed tables under all blowups. The coset j of blowup B is the coset 8 j / B of blowup 8, and the leaves
 * of a coset are all those under one node of the tree: so there is one node to compute for each coset of blowup 8.
 */

import { DIGEST_BYTES } from "./blake3.js";
import { concat } from "./bytes.js";
import { basePower, cosetShift, rootOfUnity, WORDS } from "./field.js";
import { hashLeaf, hashNode } from "./merkle.js";
import { BLOWUPS } from "./parameters.js";
import { Transform } from "./transform.js";

const COSETS = Math.max(...BLOWUPS);
const ELEMENT_BYTES = 8;

/**
 * @param {{height: number, columns: Uint32Array[]}[]} tables in machine order; columns are overwritten
 * @param {(phase: string, share: number) => void} onProgress
 * @returns {Uint8Array[]} 32 bytes for each of BLOWUPS
 */
export function preprocessedRoots(tables, onProgress) {
  const heights = [...new Set(tables.map(({ height }) => height))].sort((a, b) => a - b);
  const levels = heights.map((height) => {
    const columns = tables.filter((table) => table.height === height).flatMap((table) => table.columns);
    return { height, columns, transform: new Transform(height) };
  });
  const whole = (1 + 2 * COSETS) * levels.reduce((sum, { height, columns }) => sum + height * columns.length, 0);
  let done = 0;
  const begin = (phase, part) => {
    onProgress(phase, done / whole);
    done += part;
  };
  for (const { height, columns, transform } of levels) {
    for (const column of columns) {
      begin("extend", height);
      transform.interpolate(column);
    }
  }
  const nodes = Array.from({ length: COSETS }, (_, coset) => cosetNode(levels, coset, begin));
  onProgress("", 1);
  return BLOWUPS.map((blowup) => subtreeRoot(nodes.filter((_, coset) => coset % (COSETS / blowup) === 0)));
}

/** The node over the leaves of one coset. */
function cosetNode(levels, coset, begin) {
  let digests = [];
  for (const { height, columns, transform } of levels) {
    const scales = transform.scales(cosetShift(height) * basePower(rootOfUnity(COSETS * height), BigInt(coset)));
    const values = columns.map((column) => {
      begin("extend", height);
      return transform.evaluate(column, scales);
    });
    begin("hash", height * columns.length);
    digests = leaves(digests, values, height);
  }
  return subtreeRoot(digests);
}

/** A level of the leaf rule for all rows; row k follows digest k mod their number. */
function leaves(below, columns, height) {
  const first = below.length > 0 ? DIGEST_BYTES : 0;
  const row = new Uint8Array(first + ELEMENT_BYTES * columns.length);
  return Array.from({ length: height }, (_, k) => {
    if (first > 0) row.set(below[k % below.length]);
    let at = first;
    for (const column of columns) {
      for (let word = WORDS * k; word < WORDS * (k + 1); word++) {
        const value = column[word];
        row[at++] = value;
        row[at++] = value >>> 8;
        row[at++] = value >>> 16;
        row[at++] = value >>> 24;
      }
    }
    return hashLeaf(row);
  });
}

/** The node over adjacent ones, as many as a power of two. */
function subtreeRoot(nodes) {
  let level = nodes;
  while (level.length > 1) level = Array.from({ length: level.length / 2 }, (_, k) => hashNode(concat(level[2 * k], level[2 * k + 1])));
  return level[0];
}
