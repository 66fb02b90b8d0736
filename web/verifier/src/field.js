/**
 * The Goldilocks field F = Z/p, p = 2^64 - 2^32 + 1, and its extension K = F[x]/(x^3 - x - 1).
 *
 * An element of F is two 32-bit words (low, high) of a Uint32Array, below p; an element of K is three of those. JavaScript's numbers are
 * exact below 2^53, so one factor is split into four limbs of 16 bits and the other into its two words: the products have 48 bits, and sums
 * of some of them are exact. A product or sum of products is first four such columns,
 *
 *     c0 + c1 2^16 + c2 2^32 + c3 2^48,    because 2^64 = 2^32 - 1 and 2^80 = 2^48 - 2^16 in F,
 *
 * and is reduced once, at its end. Where only some hundred operations are needed, BigInt is used, which reads better.
 */

export const P = 0xffff_ffff_0000_0001n;
export const WORDS = 2;
export const K_WORDS = 6;
const GENERATOR = 7n;
const TWO_ADICITY = 32;
const TWO_32 = 2 ** 32;
const TWO_16 = 2 ** 16;
const PER_TWO_32 = 2 ** -32;
const PER_TWO_16 = 2 ** -16;
const ALL_ONES = 0xffff_ffff;
/** Products that a column holds without rounding, with room to spare: each adds less than 3 * 2^48 to it. */
const BLOCK = 8;

// ----- in F, in words --------------------------------------------------------------------------------------------------------------

/** Writes c0 + c1 2^16 + c2 2^32 + c3 2^48 mod p to `out`; the columns are integers of any sign below 2^53. */
function reduceInto(out, o, c0, c1, c2, c3) {
  const high1 = Math.floor(c1 * PER_TWO_16);
  const high3 = Math.floor(c3 * PER_TWO_16);
  // high3 counts 2^64, which is 2^32 - 1.
  let low = c0 + (c1 - high1 * TWO_16) * TWO_16 - high3;
  let high = c2 + high1 + (c3 - high3 * TWO_16) * TWO_16 + high3;
  // The first round leaves both words at most 2^22 outside of their range, the second at most 1.
  for (let round = 0; round < 2; round++) {
    const carry = Math.floor(low * PER_TWO_32);
    low -= carry * TWO_32;
    high += carry;
    const over = Math.floor(high * PER_TWO_32);
    high += over - over * TWO_32;
    low -= over;
  }
  if (low < 0) {
    low += TWO_32;
    high -= 1;
  } else if (low >= TWO_32) {
    low -= TWO_32;
    high += 1;
  }
  if (high === ALL_ONES && low > 0) {
    low -= 1; // p = (2^32 - 1) 2^32 + 1
    high = 0;
  }
  out[o] = low;
  out[o + 1] = high;
}

/** out = a b in F. */
export function mulInto(out, o, a, i, b, j) {
  const low = b[j], high = b[j + 1];
  const a0 = a[i] & 0xffff, a1 = a[i] >>> 16, a2 = a[i + 1] & 0xffff, a3 = a[i + 1] >>> 16;
  const c4 = a2 * high, c5 = a3 * high;
  reduceInto(out, o, a0 * low - c4, a1 * low - c5, a2 * low + a0 * high + c4, a3 * low + a1 * high + c5);
}

/** Whether all elements of F in the array are below p: only high words of 2^32 - 1 with a low word that is not 0 are not. */
export function areCanonical(elements) {
  for (let i = 0; i < elements.length; i += WORDS) {
    if (elements[i + 1] === ALL_ONES && elements[i] !== 0) return false;
  }
  return true;
}

// ----- in K, in words --------------------------------------------------------------------------------------------------------------

/** out = a + b in K. */
export function addInto(out, o, a, i, b, j) {
  for (let c = 0; c < K_WORDS; c += WORDS) reduceInto(out, o + c, a[i + c] + b[j + c], 0, a[i + c + 1] + b[j + c + 1], 0);
}

/** out = a - b in K. */
export function subInto(out, o, a, i, b, j) {
  for (let c = 0; c < K_WORDS; c += WORDS) reduceInto(out, o + c, a[i + c] - b[j + c], 0, a[i + c + 1] - b[j + c + 1], 0);
}

/** out = a0 x + a1 y + a2 z in F, for the coordinates of a in K; the words of x, y and z may have 33 bits. */
function combineInto(out, o, a, i, x0, x1, y0, y1, z0, z1) {
  const a0 = a[i] & 0xffff, a1 = a[i] >>> 16, a2 = a[i + 1] & 0xffff, a3 = a[i + 1] >>> 16;
  const b0 = a[i + 2] & 0xffff, b1 = a[i + 2] >>> 16, b2 = a[i + 3] & 0xffff, b3 = a[i + 3] >>> 16;
  const d0 = a[i + 4] & 0xffff, d1 = a[i + 4] >>> 16, d2 = a[i + 5] & 0xffff, d3 = a[i + 5] >>> 16;
  const c4 = a2 * x1 + b2 * y1 + d2 * z1;
  const c5 = a3 * x1 + b3 * y1 + d3 * z1;
  reduceInto(
    out, o,
    a0 * x0 + b0 * y0 + d0 * z0 - c4,
    a1 * x0 + b1 * y0 + d1 * z0 - c5,
    a2 * x0 + b2 * y0 + d2 * z0 + a0 * x1 + b0 * y1 + d0 * z1 + c4,
    a3 * x0 + b3 * y0 + d3 * z0 + a1 * x1 + b1 * y1 + d1 * z1 + c5,
  );
}

const product = new Uint32Array(K_WORDS);

/** out = a b in K: with x^3 = x + 1 each coordinate is a sum of a's coordinates times sums of b's. */
export function kMulInto(out, o, a, i, b, j) {
  const x0 = b[j], x1 = b[j + 1], y0 = b[j + 2], y1 = b[j + 3], z0 = b[j + 4], z1 = b[j + 5];
  combineInto(product, 0, a, i, x0, x1, z0, z1, y0, y1);
  combineInto(product, 2, a, i, y0, y1, x0 + z0, x1 + z1, y0 + z0, y1 + z1);
  combineInto(product, 4, a, i, z0, z1, y0, y1, x0 + z0, x1 + z1);
  for (let c = 0; c < K_WORDS; c++) out[o + c] = product[c];
}

/** out = a b, a in F and b in K. */
export function scaleInto(out, o, a, i, b, j) {
  for (let c = 0; c < K_WORDS; c += WORDS) mulInto(product, c, a, i, b, j + c);
  for (let c = 0; c < K_WORDS; c++) out[o + c] = product[c];
}

/** out = out + the sum of elements[k] weights[k], `count` elements of F and weights of K. */
export function addDotInto(out, o, elements, i, weights, j, count) {
  for (let first = 0; first < count; first += BLOCK) {
    const end = Math.min(first + BLOCK, count);
    for (let c = 0; c < K_WORDS; c += WORDS) {
      let c0 = out[o + c], c1 = 0, c2 = out[o + c + 1], c3 = 0;
      for (let k = first; k < end; k++) {
        const e0 = elements[i + WORDS * k], e1 = elements[i + WORDS * k + 1];
        const low = weights[j + K_WORDS * k + c], high = weights[j + K_WORDS * k + c + 1];
        const a0 = e0 & 0xffff, a1 = e0 >>> 16, a2 = e1 & 0xffff, a3 = e1 >>> 16;
        const c4 = a2 * high, c5 = a3 * high;
        c0 += a0 * low - c4;
        c1 += a1 * low - c5;
        c2 += a2 * low + a0 * high + c4;
        c3 += a3 * low + a1 * high + c5;
      }
      reduceInto(out, o + c, c0, c1, c2, c3);
    }
  }
}

// ----- in K, as values -------------------------------------------------------------------------------------------------------------

/** An element of K from up to three coordinates, integers of any size and sign. */
export function element(...coordinates) {
  const result = new Uint32Array(K_WORDS);
  coordinates.forEach((value, c) => setBase(result, WORDS * c, BigInt(value)));
  return result;
}

/** The coordinates as integers. */
export function coordinates(a) {
  return [getBase(a, 0), getBase(a, 2), getBase(a, 4)];
}

/** Element `k` of an array of elements of K. */
export function at(array, k) {
  return array.subarray(K_WORDS * k, K_WORDS * (k + 1));
}

export function add(a, b) {
  const result = new Uint32Array(K_WORDS);
  addInto(result, 0, a, 0, b, 0);
  return result;
}

export function sub(a, b) {
  const result = new Uint32Array(K_WORDS);
  subInto(result, 0, a, 0, b, 0);
  return result;
}

export function mul(a, b) {
  const result = new Uint32Array(K_WORDS);
  kMulInto(result, 0, a, 0, b, 0);
  return result;
}

export function equals(a, b) {
  for (let c = 0; c < K_WORDS; c++) if (a[c] !== b[c]) return false;
  return true;
}

export function isZero(a) {
  return a.every((word) => word === 0);
}

/** a to the power of a natural number below 2^53. */
export function power(a, exponent) {
  let result = element(1), square = a;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = mul(result, square);
    square = mul(square, square);
  }
  return result;
}

/** 1, a, a^2, ...: `count` elements in one array. */
export function powers(a, count) {
  const result = new Uint32Array(K_WORDS * count);
  if (count > 0) result[0] = 1;
  for (let k = 1; k < count; k++) kMulInto(result, K_WORDS * k, result, K_WORDS * (k - 1), a, 0);
  return result;
}

/** 1 / a, a not zero: the first column of the inverse of the matrix by which a multiplies. */
export function inverse(a) {
  const [a0, a1, a2] = coordinates(a);
  const b0 = (a0 + a2) * (a0 + a2) - (a1 + a2) * a1;
  const b1 = (a1 + a2) * a2 - a1 * (a0 + a2);
  const b2 = a1 * a1 - (a0 + a2) * a2;
  const scale = baseInverse(a0 * b0 + a2 * b1 + a1 * b2);
  return element(b0 * scale, b1 * scale, b2 * scale);
}

// ----- in F, as integers -----------------------------------------------------------------------------------------------------------

/** The canonical representative of an integer. */
export function mod(value) {
  const rest = value % P;
  return rest < 0n ? rest + P : rest;
}

export function getBase(array, i) {
  return (BigInt(array[i + 1]) << 32n) | BigInt(array[i]);
}

export function setBase(array, i, value) {
  const canonical = mod(value);
  array[i] = Number(canonical & 0xffff_ffffn);
  array[i + 1] = Number(canonical >> 32n);
}

export function basePower(value, exponent) {
  let result = 1n, square = mod(value);
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % P;
    square = (square * square) % P;
  }
  return result;
}

export function baseInverse(value) {
  return basePower(value, P - 2n);
}

/** w_n for a power of two n: 7^((p - 1) / n). */
export function rootOfUnity(n) {
  return basePower(GENERATOR, (P - 1n) / BigInt(n));
}

/** s_n = 7^(2^30 / n), the shift of the LDE domain of a table of height n. */
export function cosetShift(n) {
  return basePower(GENERATOR, (1n << BigInt(TWO_ADICITY - 2)) / BigInt(n));
}
