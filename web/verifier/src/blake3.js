/** BLAKE3: plain and keyed hashes, and the output stream. One call at a time; the scratch arrays below are shared. */

const BLOCK_BYTES = 64;
const CHUNK_BYTES = 1024;
export const DIGEST_BYTES = 32;
const CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8, KEYED = 16;
const IV = Uint32Array.of(
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
);
const ROUNDS = 7;
const SCHEDULE = schedule();

const state = new Int32Array(16);
const block = new Int32Array(16);

/** Which word of the block each round takes where: every round permutes the order of the one before. */
function schedule() {
  const permutation = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
  let order = [...permutation.keys()];
  const result = [];
  for (let round = 0; round < ROUNDS; round++) {
    result.push(...order);
    order = permutation.map((place) => order[place]);
  }
  return Uint8Array.from(result);
}

function mix(a, b, c, d, x, y) {
  let va = state[a], vb = state[b], vc = state[c], vd = state[d];
  va = (va + vb + x) | 0;
  vd ^= va;
  vd = (vd >>> 16) | (vd << 16);
  vc = (vc + vd) | 0;
  vb ^= vc;
  vb = (vb >>> 12) | (vb << 20);
  va = (va + vb + y) | 0;
  vd ^= va;
  vd = (vd >>> 8) | (vd << 24);
  vc = (vc + vd) | 0;
  vb ^= vc;
  vb = (vb >>> 7) | (vb << 25);
  state[a] = va;
  state[b] = vb;
  state[c] = vc;
  state[d] = vd;
}

/** The permutation of `block` under a chaining value; its 16 output words are left in `state`. */
function compress(chaining, counter, length, flags) {
  for (let i = 0; i < 8; i++) state[i] = chaining[i];
  for (let i = 0; i < 4; i++) state[8 + i] = IV[i];
  state[12] = counter;
  state[13] = Math.floor(counter / 2 ** 32);
  state[14] = length;
  state[15] = flags;
  for (let s = 0; s < 16 * ROUNDS; s += 16) {
    mix(0, 4, 8, 12, block[SCHEDULE[s]], block[SCHEDULE[s + 1]]);
    mix(1, 5, 9, 13, block[SCHEDULE[s + 2]], block[SCHEDULE[s + 3]]);
    mix(2, 6, 10, 14, block[SCHEDULE[s + 4]], block[SCHEDULE[s + 5]]);
    mix(3, 7, 11, 15, block[SCHEDULE[s + 6]], block[SCHEDULE[s + 7]]);
    mix(0, 5, 10, 15, block[SCHEDULE[s + 8]], block[SCHEDULE[s + 9]]);
    mix(1, 6, 11, 12, block[SCHEDULE[s + 10]], block[SCHEDULE[s + 11]]);
    mix(2, 7, 8, 13, block[SCHEDULE[s + 12]], block[SCHEDULE[s + 13]]);
    mix(3, 4, 9, 14, block[SCHEDULE[s + 14]], block[SCHEDULE[s + 15]]);
  }
  for (let i = 0; i < 8; i++) {
    state[i] ^= state[8 + i];
    state[8 + i] ^= chaining[i];
  }
}

/** Fill `block` with up to 64 bytes of the input, and zeros after them. */
function loadBlock(input, start, length) {
  if (length === BLOCK_BYTES) {
    for (let i = 0, at = start; i < 16; i++, at += 4) {
      block[i] = input[at] | (input[at + 1] << 8) | (input[at + 2] << 16) | (input[at + 3] << 24);
    }
    return;
  }
  block.fill(0);
  for (let i = 0; i < length; i++) block[i >> 2] |= input[start + i] << (8 * (i & 3));
}

/**
 * A compression that has not been done yet: that of the root is done with another flag than it would be elsewhere.
 * `words` is its block, `chaining` its chaining value.
 */
class Pending {
  constructor(chaining, counter, length, flags) {
    this.words = block.slice();
    this.chaining = chaining;
    this.counter = counter;
    this.length = length;
    this.flags = flags;
  }

  /** The chaining value, if it is not the root. */
  chained() {
    block.set(this.words);
    compress(this.chaining, this.counter, this.length, this.flags);
    return state.slice(0, 8);
  }

  /** The first `length` bytes of the output stream, if it is the root. */
  output(length) {
    const bytes = new Uint8Array(length);
    for (let start = 0; start < length; start += BLOCK_BYTES) {
      block.set(this.words);
      compress(this.chaining, start / BLOCK_BYTES, this.length, this.flags | ROOT);
      for (let i = start; i < Math.min(start + BLOCK_BYTES, length); i++) bytes[i] = state[(i - start) >> 2] >>> (8 * (i & 3));
    }
    return bytes;
  }
}

/** The last compression of the chunk that begins at `start`; the others are done. */
function chunk(input, start, key, flags) {
  const end = Math.min(start + CHUNK_BYTES, input.length);
  const counter = start / CHUNK_BYTES;
  let chaining = key, first = CHUNK_START;
  for (; end - start > BLOCK_BYTES; start += BLOCK_BYTES) {
    loadBlock(input, start, BLOCK_BYTES);
    compress(chaining, counter, BLOCK_BYTES, flags | first);
    chaining = state.slice(0, 8);
    first = 0;
  }
  loadBlock(input, start, end - start);
  return new Pending(chaining, counter, end - start, flags | first | CHUNK_END);
}

/** The compression of a parent of two subtrees. */
function parent(left, right, key, flags) {
  block.set(left, 0);
  block.set(right, 8);
  return new Pending(key, 0, BLOCK_BYTES, flags | PARENT);
}

/** The root of the tree over all chunks. Whole subtrees are merged as soon as they are there: as often as the number of chunks is even. */
function root(input, key, flags) {
  const subtrees = [];
  let start = 0;
  for (let chunks = 1; input.length - start > CHUNK_BYTES; start += CHUNK_BYTES, chunks++) {
    let chaining = chunk(input, start, key, flags).chained();
    for (let count = chunks; count % 2 === 0; count /= 2) chaining = parent(subtrees.pop(), chaining, key, flags).chained();
    subtrees.push(chaining);
  }
  let last = chunk(input, start, key, flags);
  while (subtrees.length > 0) last = parent(subtrees.pop(), last.chained(), key, flags);
  return last;
}

/**
 * BLAKE3 of bytes.
 * @param {Uint8Array} input
 * @param {number} [length] of the output
 * @returns {Uint8Array}
 */
export function blake3(input, length = DIGEST_BYTES) {
  return root(input, IV, 0).output(length);
}

/** Keyed BLAKE3: a function of bytes to 32 bytes, for a key of 32 bytes. */
export function keyed(key) {
  loadBlock(key, 0, DIGEST_BYTES);
  const words = block.slice(0, 8);
  return (input) => root(input, words, KEYED).output(DIGEST_BYTES);
}
