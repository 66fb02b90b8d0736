/**
 * Proven security of a proof's shape: every error term of docs/security.md, summed.
 *
 * q = p^3, rate rho, dimension N, domain n = N / rho. A theorem on proximity has a relative distance, a list size, the number of
 * exceptional challenges of a line as a function of the domain's length, and what points with weights cost besides.
 */

import { P } from "./field.js";
import { FOLDING, GRINDING_BITS, LOG_MAX_HEIGHT, LOG_MIN_TALLEST } from "./parameters.js";
import { sum } from "./shape.js";

const FIELD = Number(P) ** 3;
const CONSTRAINT_DEGREE = 3;
const ROWS_READ = 2;
const SMALLEST_M = 3, LARGEST_M = 255;
/** How many heights the tallest table of a proof may have. */
const TALLEST_HEIGHTS = LOG_MAX_HEIGHT - LOG_MIN_TALLEST + 1;
/** Collision resistance of digests of 256 bits: no proof claims more. */
const HASH_BITS = 128;

/** Unique decoding (ePrint 2020/654, 4.1 and 6.1); the radius is smaller by 1 / 2n because opened columns have degree N. */
function uniqueDecoding(rate, tallest) {
  return { distance: (1 - rate - rate / tallest) / 2, decoded: 1, exceptional: (n) => n, weighted: 0 };
}

/** The Johnson bound with the constants of 2020 (2020/654, 5.1, 6.2 and 7.2). */
function johnson2020(rate, m) {
  const root = Math.sqrt(rate), half = m + 0.5;
  const scale = half ** 7 / (3 * rate * root);
  return { distance: radius(rate, m), decoded: half / root, exceptional: (n) => scale * n ** 2, weighted: (2 * half) / root };
}

/** The Johnson bound with the constants of 2025 (2025/2055, 1.5 and 4.2). */
function johnson2025(rate, m) {
  const root = Math.sqrt(rate), half = m + 0.5, distance = radius(rate, m);
  const scale = (2 * half ** 5 + 3 * half * distance * rate) / (3 * rate * root);
  return { distance, decoded: half / root, exceptional: (n) => scale * n + half / root, weighted: (2 * half) / root };
}

function radius(rate, m) {
  return 1 - Math.sqrt(rate) * (1 + 1 / (2 * m));
}

/** What the error terms of a proof depend on; `closingTuples`: how many its statement puts on its own buses. */
function sizeOf(shape, closingTuples) {
  const { machine, parameters: { blowup, queries }, tallest, pinnedCount } = shape;
  return {
    blowup, queries, tallest, pinned: pinnedCount > 0,
    openings: shape.hereCount + shape.nextCount + pinnedCount,
    constraints: shape.constraintCount,
    interactions: shape.interactions + closingTuples,
    arity: machine.arity,
    largestPower: machine.largestPower,
  };
}

/** The sum of all error terms under a theorem. */
function errorProbability({ blowup, queries, tallest, ...size }, theorem) {
  const domain = tallest * blowup;
  let challenges = size.openings * theorem.exceptional(domain);
  let folds = 0;
  for (let dimension = tallest / FOLDING; dimension >= 1; dimension /= FOLDING) {
    folds += 1;
    challenges += (FOLDING - 1) * theorem.exceptional(dimension * blowup);
  }
  const weights = folds * (FOLDING - 1) * theorem.weighted * (domain + 1);
  const query = (1 - theorem.distance) ** queries * 2 ** -GRINDING_BITS;
  const constraints = theorem.decoded * size.constraints;
  const degree = CONSTRAINT_DEGREE * (tallest + ROWS_READ - 1) + tallest - 1;
  const outOfDomain = (theorem.decoded * degree) / (FIELD - tallest - domain);
  const buses = theorem.decoded * size.interactions * (size.arity + 2);
  const sums = theorem.decoded * size.largestPower;
  // The height of a joined proof is chosen after its pin: its early columns may decode under each that there is.
  const pin = size.pinned ? (TALLEST_HEIGHTS * theorem.decoded) ** 2 * 2 ** (LOG_MAX_HEIGHT - 1) : 0;
  return (challenges + weights + constraints + buses + sums + pin) / FIELD + query + outOfDomain;
}

/** The smallest sum of errors that the theorems of a regime prove of a proof of this size, at the best radius. */
function smallestError(size, regime) {
  const rate = 1 / size.blowup;
  const error = (theorem) => errorProbability(size, theorem);
  let smallest = error(uniqueDecoding(rate, size.tallest));
  if (regime !== "unique") {
    const family = regime === "best" ? johnson2025 : johnson2020;
    // Queries fail less with a larger m, all else more: the sum falls up to the best m, and rises from there.
    let low = SMALLEST_M, high = LARGEST_M;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (error(family(rate, middle + 1)) < error(family(rate, middle))) low = middle + 1;
      else high = middle;
    }
    smallest = Math.min(smallest, error(family(rate, low)));
  }
  return smallest;
}

function bitsOf(error) {
  return Math.min(-Math.log2(error), HASH_BITS);
}

/**
 * Proven bits of a proof of this shape.
 * @param {object} shape
 * @param {number} closingTuples how many tuples its statement puts on the buses
 * @param {string} regime "best", "bciks20" or "unique"
 * @returns {number} at most 128
 */
export function provenBits(shape, closingTuples, regime) {
  return bitsOf(smallestError(sizeOf(shape, closingTuples), regime));
}

/**
 * Proven bits of proofs that are joined: those of the likeliest way in which a false one is accepted.
 * @param {object[]} shapes of the proofs
 * @param {number[]} tuples how many the statement of each puts on its own buses
 * @param {number} jointTuples how many the verifier puts on the joint buses
 * @param {string} regime as above
 * @returns {number} at most 128
 */
export function joinedBits(shapes, tuples, jointTuples, regime) {
  const known = new Map(); // most of many segments are alike
  let largest = jointError(shapes, jointTuples);
  shapes.forEach((shape, number) => {
    const size = sizeOf(shape, tuples[number]), key = Object.values(size).join();
    if (!known.has(key)) known.set(key, smallestError(size, regime));
    largest = Math.max(largest, known.get(key));
  });
  return bitsOf(largest);
}

/** The error of the joint buses: pinned columns are one, so nothing multiplies it. */
function jointError(shapes, jointTuples) {
  const pairs = sum(shapes.map(({ tables }) => sum(tables.map(({ chip, height }) => height * chip.jointPairs))));
  const arity = shapes.reduce((most, { machine }) => Math.max(most, machine.jointPowers), 0);
  return ((2 * pairs + jointTuples) * (arity + 2)) / FIELD;
}
