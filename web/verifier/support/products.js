/** What a product costs, of BigInt and of the 16-bit limbs: `node support/products.js`. Nanoseconds, the best of some short rounds. */

import { K_WORDS, kMulInto, mulInto, P, setBase, WORDS } from "../src/field.js";

const COUNT = 1 << 12, ROUNDS = 200;
const values = Array.from({ length: COUNT + 3 }, (_, k) => (BigInt(k + 1) * 0x9e37_79b9_7f4a_7c15n) % P);
const words = new Uint32Array(WORDS * values.length);
values.forEach((value, k) => setBase(words, WORDS * k, value));
const out = new Uint32Array(K_WORDS);
let kept = 0n;

function best(act) {
  const rounds = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    act();
    return performance.now() - start;
  });
  return `${((Math.min(...rounds) * 1e6) / COUNT).toFixed(0)} ns`;
}

console.log("F, BigInt:", best(() => {
  for (let k = 0; k < COUNT; k++) kept ^= (values[k] * values[k + 1]) % P;
}));
console.log("F, limbs: ", best(() => {
  for (let k = 0; k < COUNT; k++) mulInto(out, 0, words, WORDS * k, words, WORDS * (k + 1));
}));
console.log("K, BigInt:", best(() => {
  for (let k = 0; k < COUNT; k++) {
    const [a0, a1, a2, b0, b1, b2] = [values[k], values[k + 1], values[k + 2], values[k + 1], values[k + 2], values[k + 3]];
    const c3 = a1 * b2 + a2 * b1, c4 = a2 * b2; // x^3 = x + 1, x^4 = x^2 + x
    kept ^= (a0 * b0 + c3) % P ^ (a0 * b1 + a1 * b0 + c3 + c4) % P ^ (a0 * b2 + a1 * b1 + a2 * b0 + c4) % P;
  }
}));
console.log("K, limbs: ", best(() => {
  for (let k = 0; k < COUNT; k++) kMulInto(out, 0, words, WORDS * k, words, WORDS * (k + 1));
}));
if (kept === out[0]) console.log(""); // what is not used may not be computed
