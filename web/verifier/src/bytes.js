/** Bytes: reading untrusted ones, and writing what is hashed. All integers are little-endian. */

import { FormatError } from "./errors.js";

const encoder = new TextEncoder();

export function ascii(text) {
  return encoder.encode(text);
}

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of an even number of hexadecimal digits; null for anything else. */
export function fromHex(text) {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) return null;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export function sameBytes(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export function concat(...parts) {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    result.set(part, position);
    position += part.length;
  }
  return result;
}

/** Natural numbers below 2^53 as words of 8 bytes. */
export function u64(...numbers) {
  const result = new Uint8Array(8 * numbers.length);
  numbers.forEach((number, k) => {
    for (let i = 0, rest = number; i < 8; i++, rest = Math.floor(rest / 256)) result[8 * k + i] = rest % 256;
  });
  return result;
}

/** Words of 4 bytes as numbers. */
export function words32(bytes) {
  const result = new Uint32Array(bytes.length >> 2);
  for (let i = 0, at = 0; i < result.length; i++, at += 4) {
    result[i] = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
  }
  return result;
}

/** The bytes of words of 4 bytes. */
export function bytes32(words) {
  const result = new Uint8Array(4 * words.length);
  words.forEach((word, i) => {
    for (let k = 0; k < 4; k++) result[4 * i + k] = word >>> (8 * k);
  });
  return result;
}

/** Reads values of fixed width; whatever is missing or out of bounds is a FormatError. Bytes are views, not copies. */
export class Reader {
  constructor(data) {
    this.data = data;
    this.position = 0;
  }

  get left() {
    return this.data.length - this.position;
  }

  /** The next `count` bytes; `what` they are is said in the message. */
  take(count, what) {
    if (count > this.left) throw new FormatError(`${what}: ${count} bytes expected at offset ${this.position}, ${this.left} are left`);
    this.position += count;
    return this.data.subarray(this.position - count, this.position);
  }

  /** An unsigned integer of up to 4 bytes from `low` to `high`. */
  integer(width, what, low = 0, high = 2 ** 32 - 1) {
    const value = this.take(width, what).reduceRight((sum, byte) => 256 * sum + byte, 0);
    if (value < low || value > high) throw new FormatError(`${what}: ${value} is not within ${low} and ${high}`);
    return value;
  }

  /** Bytes that must be exactly the expected ones. */
  constant(expected, what) {
    if (!sameBytes(this.take(expected.length, what), expected)) throw new FormatError(`${what}: not what this version reads`);
  }

  /** All bytes were read. */
  end() {
    if (this.left > 0) throw new FormatError(`${this.left} bytes too many at offset ${this.position}`);
  }
}
