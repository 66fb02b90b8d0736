/** The Fiat-Shamir transcript: every message is absorbed, every challenge is drawn from what was absorbed before it. */

import { blake3, DIGEST_BYTES } from "./blake3.js";
import { ascii, concat, u64, words32 } from "./bytes.js";
import { demand } from "./errors.js";
import { areCanonical, K_WORDS } from "./field.js";

const TAG = ascii("zkvm/transcript/1");
const DOMAIN = 0, BYTES = 1, ELEMENTS = 2, INTEGER = 3, EXTENSION = 16, INDICES = 17, SEED = 18, NONCE = 19;
const NOTHING = new Uint8Array(0);
/** Of the first 8 bytes of the proof of work's hash, a little-endian word, which must be below 2^44: the byte in which bit 44 lies. */
const WORK_BYTE = 5;
const WORK_BOUND = 1 << 4;

export class Transcript {
  /** @param {string} domain names the protocol and its version */
  constructor(domain) {
    this.state = blake3(TAG);
    this.absorb("domain", DOMAIN, ascii(domain));
  }

  absorbBytes(label, data) {
    this.absorb(label, BYTES, data);
  }

  /** Elements of F or K, as their bytes. */
  absorbElements(label, bytes) {
    this.absorb(label, ELEMENTS, bytes);
  }

  absorbInteger(label, value) {
    this.absorb(label, INTEGER, u64(value));
  }

  /** A uniform element of K: words of the output stream that are below p. */
  drawElement(label) {
    const frame = this.frame(label, EXTENSION, NOTHING);
    // A word is skipped with probability 2^-32: then a longer prefix of the same stream is read.
    for (let wanted = 4; ; wanted *= 2) {
      const output = blake3(frame, DIGEST_BYTES + 8 * wanted);
      const words = words32(output.subarray(DIGEST_BYTES));
      const kept = [];
      for (let i = 0; i < words.length && kept.length < K_WORDS; i += 2) {
        if (areCanonical(words.subarray(i, i + 2))) kept.push(words[i], words[i + 1]);
      }
      if (kept.length < K_WORDS) continue;
      this.step(label, output.subarray(0, DIGEST_BYTES));
      return Uint32Array.from(kept);
    }
  }

  /** `count` integers below `bound`, a power of two up to 2^32; in the order in which they are drawn. */
  drawPositions(label, count, bound) {
    const output = blake3(this.frame(label, INDICES, u64(count, bound)), DIGEST_BYTES + 8 * count);
    this.step(label, output.subarray(0, DIGEST_BYTES));
    const words = words32(output.subarray(DIGEST_BYTES));
    return Array.from({ length: count }, (_, i) => words[2 * i] % bound);
  }

  /** The 8 bytes of the nonce have 20 bits of work behind them; then they are absorbed. */
  checkWork(label, nonce) {
    const hash = blake3(concat(blake3(this.frame(label, SEED, NOTHING)), nonce));
    const small = hash[WORK_BYTE] < WORK_BOUND && hash[WORK_BYTE + 1] === 0 && hash[WORK_BYTE + 2] === 0;
    demand(small, "GRINDING", `${label}: nonce does not give 20 bits of work`);
    this.absorb(label, NONCE, nonce);
  }

  absorb(label, kind, data) {
    this.step(label, blake3(this.frame(label, kind, data)));
  }

  frame(label, kind, data) {
    const name = ascii(label);
    return concat(this.state, u64(name.length), name, Uint8Array.of(kind), u64(data.length), data);
  }

  /** The next state; tests watch it. */
  step(label, state) {
    this.state = state;
  }
}
