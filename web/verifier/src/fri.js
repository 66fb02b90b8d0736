/** The low-degree test: opened rows under their roots, the batched value at every query position, and the folds. */

import { demand } from "./errors.js";
import {
  add, addDotInto, addInto, at, baseInverse, basePower, cosetShift, element, equals, inverse, K_WORDS, kMulInto, mul, P, powers,
  rootOfUnity, scaleInto, setBase, sub,
} from "./field.js";
import { checkTree, siblingCount } from "./merkle.js";
import { FOLDING } from "./parameters.js";
import { BUS, EARLY, placeOn, positionsOn, QUOTIENT_COLUMNS } from "./shape.js";

const SALTED = ["the main tree", "the bus tree", "the quotient tree"];

/**
 * Every tree opens as many leaves and siblings as these positions need; of a joined proof `seal.early` is the tree of its early columns.
 * @throws {VerificationError} SHAPE
 */
export function checkCounts(shape, seal, positions) {
  for (const { name, leafCount, indices, counts } of trees(shape, seal, positions)) {
    const { opened, siblings } = counts;
    demand(opened === indices.length, "SHAPE", `${name}: ${opened} leaves are opened instead of ${indices.length}`);
    const expected = siblingCount(leafCount, indices);
    demand(siblings === expected, "SHAPE", `${name}: ${siblings} siblings instead of ${expected}`);
  }
}

/**
 * All opened rows of the trees and of the layers are under their roots.
 * @throws {VerificationError} MERKLE
 */
export function checkTrees(shape, seal, positions, progress = () => {}) {
  const all = trees(shape, seal, positions);
  all.forEach(({ name, root, leafCount, indices, opening }, number) => {
    progress(number / all.length);
    checkTree(name, root, leafCount, indices, opening);
  });
}

/** Every tree with its size, its opened leaves, and what the seal says of it; the statement's root comes with the seal here. */
function trees(shape, seal, positions) {
  const { tallest, parameters: { blowup }, preprocessedHeight } = shape;
  const tree = (name, root, height, opening, counts) => {
    return { name, root, leafCount: blowup * height, indices: positionsOn(positions, tallest, height), opening, counts };
  };
  const roots = [seal.mainRoot, seal.busRoot, seal.quotientRoot];
  return [
    tree("the preprocessed tree", seal.preprocessedRoot, preprocessedHeight, seal.preprocessed, seal.counts.preprocessed),
    ...SALTED.map((name, phase) => tree(name, roots[phase], tallest, seal.salted[phase], seal.counts.salted)),
    ...(seal.early === null ? [] : [tree("the early tree", seal.early.root, shape.earlyHeight, seal.early, seal.early.counts)]),
    ...shape.friHeights.map((height, number) => {
      const { leaves, siblings } = seal.layers[number];
      const opening = { rows: [leaves], salts: null, siblings };
      return tree(`FRI layer ${number}`, seal.friRoots[number], height / FOLDING, opening, seal.counts.layers[number]);
    }),
  ];
}

/** The point of a position (j n + k) on the domain of B cosets of n points, and its inverse: shift w^(j + B k). */
function pointsOf(height, blowup, shift) {
  const size = height * blowup;
  const root = rootOfUnity(size), shiftInverse = baseInverse(shift);
  const exponent = (position) => Math.floor(position / height) + blowup * (position % height);
  return {
    x: (position) => (shift * basePower(root, BigInt(exponent(position)))) % P,
    inverse: (position) => (shiftInverse * basePower(root, BigInt(size - exponent(position)))) % P,
  };
}

/**
 * R(x) + the sum of gamma^(e+1) (F_e(x) - v_e) / (x - point_e) at the point x of every position, R the mask: elements of K. Early columns
 * are there twice: as all others, and with the values and at the point where they were pinned.
 */
export function batchedValues(shape, seal, positions, { zeta, gamma, pin = null }) {
  const { tallest, parameters: { blowup }, hereCount, nextCount, pinnedCount } = shape;
  const weights = powers(gamma, hereCount + nextCount + pinnedCount + 1).subarray(K_WORDS);
  const nextWeights = weights.subarray(K_WORDS * hereCount), pinnedWeights = nextWeights.subarray(K_WORDS * nextCount);
  const openings = seal.openings.words;
  const here = { weights, constant: dot(weights, openings, hereCount), point: zeta };
  const after = {
    weights: nextWeights,
    constant: dot(nextWeights, openings.subarray(K_WORDS * hereCount), nextCount),
    point: mul(zeta, element(rootOfUnity(tallest))),
  };
  const early = pin === null ? null : {
    weights: pinnedWeights, constant: dot(pinnedWeights, seal.early.pinned.words, pinnedCount), point: pin,
  };
  const points = pointsOf(tallest, blowup, cosetShift(tallest));
  const firstEarly = 2 * shape.firstOf(EARLY);
  const columns = columnsReader(shape, seal, positions);
  const nextColumns = nextPlaces(shape);
  const next = new Uint32Array(2 * nextCount);
  return positions.map((position, number) => {
    const { row, mask } = columns(position, number);
    nextColumns.forEach((place, k) => next.set(row.subarray(2 * place, 2 * place + 2), 2 * k));
    const x = element(points.x(position));
    const value = add(mask, add(quotientAt(row, hereCount, here, x), quotientAt(next, nextCount, after, x)));
    return early === null ? value : add(value, quotientAt(row.subarray(firstEarly), pinnedCount, early, x));
  });
}

/** (the weighted sum of the columns - the constant) / (x - point). */
function quotientAt(row, count, { weights, constant, point }, x) {
  const combined = element(0);
  addDotInto(combined, 0, row, 0, weights, 0, count);
  return mul(sub(combined, constant), inverse(sub(x, point)));
}

function dot(a, b, count) {
  const total = element(0), product = element(0);
  for (let k = 0; k < count; k++) {
    kMulInto(product, 0, a, K_WORDS * k, b, K_WORDS * k);
    addInto(total, 0, total, 0, product, 0);
  }
  return total;
}

/** Reads the opened row of a position: all columns in the order of the openings, one array for all positions; and the mask. */
function columnsReader(shape, seal, positions) {
  const { tallest, hereCount } = shape;
  /** Trees that are shorter than the largest domain: their rows, and which of them belongs to a position. */
  const shorter = [[seal.preprocessed, shape.preprocessedHeight], ...(seal.early === null ? [] : [[seal.early, shape.earlyHeight]])];
  const folded = shorter.map(([{ rows }, height]) => {
    const rank = new Map(positionsOn(positions, tallest, height).map((place, k) => [place, k]));
    return { rows, inside: (position) => rank.get(placeOn(position, tallest, height)) };
  });
  const [main, bus, quotient] = seal.salted.map((tree) => tree.rows);
  const row = new Uint32Array(2 * hereCount);
  const quotientWords = 2 * QUOTIENT_COLUMNS;
  return (position, number) => {
    let filled = 0;
    const put = (matrix, k) => {
      const words = matrix.words.subarray(matrix.start(k), matrix.start(k + 1));
      row.set(words, filled);
      filled += words.length;
    };
    for (const { rows, inside } of folded) rows.forEach((matrix) => put(matrix, inside(position)));
    for (const matrix of [...main, ...bus]) put(matrix, number);
    const last = quotient[0].words.subarray(quotient[0].start(number), quotient[0].start(number + 1));
    row.set(last.subarray(0, quotientWords), filled);
    return { row, mask: last.subarray(quotientWords) };
  };
}

/** Of the columns that are opened at the next row: their places among all columns. */
function nextPlaces(shape) {
  let first = shape.firstOf(BUS);
  return shape.tables.flatMap(({ chip }) => {
    const own = chip.next.map((column) => first + column);
    first += chip.widths[BUS];
    return own;
  });
}

/** w_8^(-r s) / 8 for s, r = 0 .. 7, in words: what takes the eight values of a leaf to the eight parts of the polynomial. */
const TO_PARTS = toParts();

function toParts() {
  const result = new Uint32Array(2 * FOLDING * FOLDING);
  const inverseRoot = baseInverse(rootOfUnity(FOLDING)), eighth = baseInverse(BigInt(FOLDING));
  for (let s = 0; s < FOLDING; s++) {
    for (let r = 0; r < FOLDING; r++) setBase(result, 2 * (FOLDING * s + r), eighth * basePower(inverseRoot, BigInt(r * s)));
  }
  return result;
}

/** The fold of a leaf: the sum of (beta / x)^s times part s of its eight values. */
function fold(words, start, inverseX, beta) {
  const ratio = mul(beta, element(inverseX));
  const result = element(0), part = element(0);
  for (let s = FOLDING - 1; s >= 0; s--) {
    part.fill(0);
    addDotInto(part, 0, TO_PARTS, 2 * FOLDING * s, words, start, FOLDING);
    kMulInto(result, 0, result, 0, ratio, 0);
    addInto(result, 0, result, 0, part, 0);
  }
  return result;
}

/**
 * The batched values fold, layer by layer, to the final polynomial.
 * @param {object} shape
 * @param {object} seal
 * @param {number[]} positions ascending, each once
 * @param {Uint32Array[]} values the batched value at each
 * @param {Uint32Array[]} challenges one for each layer
 * @returns {Uint32Array[][]} the folded values of each layer
 * @throws {VerificationError} FRI
 */
export function checkFolds(shape, seal, positions, values, challenges) {
  const { blowup } = shape.parameters;
  let shift = cosetShift(shape.tallest);
  const folded = shape.friHeights.map((height, number) => {
    const short = height / FOLDING, { leaves } = seal.layers[number];
    const indices = positionsOn(positions, height, short);
    const rank = new Map(indices.map((place, k) => [place, k]));
    positions.forEach((position, k) => {
      const slot = Math.floor((position % height) / short);
      const words = leaves.start(rank.get(placeOn(position, height, short))) + K_WORDS * slot;
      const same = equals(leaves.words.subarray(words, words + K_WORDS), values[k]);
      demand(same, "FRI", `layer ${number} does not continue what came before`);
    });
    const points = pointsOf(height, blowup, shift);
    values = indices.map((place, k) => {
      const first = Math.floor(place / short) * height + (place % short);
      return fold(leaves.words, leaves.start(k), points.inverse(first), challenges[number]);
    });
    positions = indices;
    shift = basePower(shift, BigInt(FOLDING));
    return values;
  });
  const points = pointsOf(shape.finalLength, blowup, shift);
  positions.forEach((position, k) => {
    const value = polynomialAt(seal.final.words, shape.finalLength, points.x(position));
    demand(equals(value, values[k]), "FRI", "the final polynomial does not continue the last fold");
  });
  return folded;
}

function polynomialAt(coefficients, count, point) {
  const x = new Uint32Array(2), result = element(0);
  setBase(x, 0, point);
  for (let k = count - 1; k >= 0; k--) {
    scaleInto(result, 0, x, 0, result, 0);
    addInto(result, 0, result, 0, at(coefficients, k), 0);
  }
  return result;
}
