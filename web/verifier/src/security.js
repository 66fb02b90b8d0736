/**
 * Proven security of a proof's shape: every error term of docs/security.md, summed.
 *
 * q = p^3, rate rho, dimension N, domain n = N / rho. A theorem on proximity has a relative distance, a list size, the number of
 * exceptional challenges of a line as a function of the domain's length, and what points with weights cost besides.
 */

import { P } from "./field.js";
import { FOLDING, GRINDING_BITS } from "./parameters.js";

const FIELD = Number(P) ** 3;
const CONSTRAINT_DEGREE = 3;
const ROWS_READ = 2;
const SMALLEST_M = 3, LARGEST_M = 255;
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

/** The sum of all error terms under a theorem. */
function errorProbability(shape, closingTuples, theorem) {
  const { blowup, queries } = shape.parameters;
  const { tallest, machine } = shape;
  const domain = tallest * blowup;
  let challenges = (shape.hereCount + shape.nextCount) * theorem.exceptional(domain);
  let folds = 0;
  for (let dimension = tallest / FOLDING; dimension >= 1; dimension /= FOLDING) {
    folds += 1;
    challenges += (FOLDING - 1) * theorem.exceptional(dimension * blowup);
  }
  const weights = folds * (FOLDING - 1) * theorem.weighted * (domain + 1);
  const query = (1 - theorem.distance) ** queries * 2 ** -GRINDING_BITS;
  const constraints = theorem.decoded * shape.constraintCount;
  const degree = CONSTRAINT_DEGREE * (tallest + ROWS_READ - 1) + tallest - 1;
  const outOfDomain = (theorem.decoded * degree) / (FIELD - tallest - domain);
  const buses = theorem.decoded * (shape.interactions + closingTuples) * (machine.arity + 2);
  const sums = theorem.decoded * machine.largestPower;
  return (challenges + weights + constraints + buses + sums) / FIELD + query + outOfDomain;
}

/**
 * Proven bits of a proof of this shape, by the best theorem of a regime at its best radius.
 * @param {object} shape
 * @param {number} closingTuples how many tuples its statement puts on the buses
 * @param {string} regime "best", "bciks20" or "unique"
 * @returns {number} at most 128
 */
export function provenBits(shape, closingTuples, regime) {
  const rate = 1 / shape.parameters.blowup;
  const error = (theorem) => errorProbability(shape, closingTuples, theorem);
  let smallest = error(uniqueDecoding(rate, shape.tallest));
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
  return Math.min(-Math.log2(smallest), HASH_BITS);
}
