/** Columns of a height on other points: from the values on <w_n> to the coefficients, and to the values on a coset of <w_n>. */

import { baseInverse, mulInto, rootOfUnity, setBase, WORDS } from "./field.js";

const TWO_32 = 2 ** 32, ALL_ONES = 0xffff_ffff;

/** a[i], a[j] = a[i] + a[j], a[i] - a[j] in F. */
function butterfly(a, i, j) {
  const low = a[i], high = a[i + 1], otherLow = a[j], otherHigh = a[j + 1];
  let sumLow = low + otherLow, sumHigh = high + otherHigh;
  if (sumLow >= TWO_32) {
    sumLow -= TWO_32;
    sumHigh += 1;
  }
  if (sumHigh > ALL_ONES || (sumHigh === ALL_ONES && sumLow > 0)) {
    // less p, whose words are 1 and 2^32 - 1
    sumHigh -= ALL_ONES;
    sumLow -= 1;
    if (sumLow < 0) {
      sumLow += TWO_32;
      sumHigh -= 1;
    }
  }
  let restLow = low - otherLow, restHigh = high - otherHigh;
  if (restLow < 0) {
    restLow += TWO_32;
    restHigh -= 1;
  }
  if (restHigh < 0) {
    restHigh += ALL_ONES;
    restLow += 1;
    if (restLow >= TWO_32) {
      restLow -= TWO_32;
      restHigh += 1;
    }
  }
  a[i] = sumLow;
  a[i + 1] = sumHigh;
  a[j] = restLow;
  a[j + 1] = restHigh;
}

/** first, first base, first base^2, ...: `count` elements of F. */
function powersOf(base, count, first = 1n) {
  const result = new Uint32Array(WORDS * count), factor = new Uint32Array(WORDS);
  setBase(factor, 0, base);
  setBase(result, 0, first);
  for (let k = WORDS; k < result.length; k += WORDS) mulInto(result, k, result, k - WORDS, factor, 0);
  return result;
}

/** Transforms of columns of `height` elements of F, a power of two. Coefficients are in the order of reversed bits. */
export class Transform {
  constructor(height) {
    this.height = height;
    const root = rootOfUnity(height);
    this.roots = powersOf(root, height / 2);
    this.inverses = powersOf(baseInverse(root), height / 2);
    this.reversed = new Uint32Array(height);
    for (let k = 1; k < height; k++) this.reversed[k] = (this.reversed[k >> 1] >> 1) | (k & 1 ? height / 2 : 0);
  }

  /** Values become coefficients, times the height: in place. */
  interpolate(column) {
    for (let length = this.height; length >= 2; length /= 2) {
      const half = WORDS * (length / 2), step = WORDS * (this.height / length);
      for (let start = 0; start < column.length; start += 2 * half) {
        for (let j = 0, turn = 0; j < half; j += WORDS, turn += step) {
          const other = start + j + half;
          butterfly(column, start + j, other);
          mulInto(column, other, column, other, this.inverses, turn);
        }
      }
    }
  }

  /** What `evaluate` multiplies coefficients by: powers of the shift over the height, in the order of reversed bits. */
  scales(shift) {
    const powers = powersOf(shift, this.height, baseInverse(BigInt(this.height))), result = new Uint32Array(powers.length);
    this.reversed.forEach((place, k) => {
      result[WORDS * k] = powers[WORDS * place];
      result[WORDS * k + 1] = powers[WORDS * place + 1];
    });
    return result;
  }

  /** The values on the coset whose scales these are, of what `interpolate` left. */
  evaluate(coefficients, scales) {
    const values = new Uint32Array(coefficients.length);
    for (let k = 0; k < values.length; k += WORDS) mulInto(values, k, coefficients, k, scales, k);
    for (let length = 2; length <= this.height; length *= 2) {
      const half = WORDS * (length / 2), step = WORDS * (this.height / length);
      for (let start = 0; start < values.length; start += 2 * half) {
        for (let j = 0, turn = 0; j < half; j += WORDS, turn += step) {
          const other = start + j + half;
          if (turn > 0) mulInto(values, other, values, other, this.roots, turn);
          butterfly(values, start + j, other);
        }
      }
    }
    return values;
  }
}
