/** The constants of tensor calls in marked segments: rows of their tables. */

import { UsageError } from "./errors.js";

const VECTORS = 1, CHANNELS = 2, PATTERNS = 3, FUNCTIONS = 4;
const ROW_BYTES = 16, PATTERN_BYTES = 32, ENTRY_BYTES = 2, LANES = 8, ENTRIES = 4;
const SECOND_OPERAND = 2 ** 31;
const MAX_LIMIT = 2n ** 31n - 1n, MAX_BIAS = 2n ** 48n - 1n, MAX_SCALED_BIAS = 2n ** 61n;

function requireThat(condition, message) {
  if (!condition) throw new UsageError(`no program of this machine: constants of tensor calls: ${message}`);
}

/** [name, rows, columns] of each table, empty ones too. Elements that may be negative are BigInts. */
export function constantTables(segments) {
  const found = new Map();
  for (const segment of segments.filter(({ kind }) => kind > 0)) {
    const { kind, writable, executable, address, size, data } = segment;
    const unit = kind === PATTERNS ? PATTERN_BYTES : ROW_BYTES;
    requireThat(kind <= FUNCTIONS && !found.has(kind), "an unknown kind, or one twice");
    requireThat(!writable && !executable, "not only readable");
    requireThat(address % unit === 0 && size % unit === 0 && data.length === size, "not whole rows");
    found.set(kind, { address, view: new DataView(data.buffer, data.byteOffset, data.byteLength) });
  }
  return [
    ["constant_vectors", rowsOf(found.get(VECTORS), ROW_BYTES, vector), 10],
    ["channels", rowsOf(found.get(CHANNELS), ROW_BYTES, channel), 5],
    ["patterns", rowsOf(found.get(PATTERNS), PATTERN_BYTES, pattern), 11],
    ["functions", rowsOf(found.get(FUNCTIONS), ENTRIES * ENTRY_BYTES, entries), 6],
  ];
}

/** Rows of `bytes` bytes each; every table's last column is 1 where there is a row. */
function rowsOf(found, bytes, read) {
  if (found === undefined) return [];
  const { address, view } = found;
  return Array.from({ length: view.byteLength / bytes }, (_, k) => [...read(view, k * bytes, address + k * bytes), 1]);
}

function int16s(view, at, count) {
  return Array.from({ length: count }, (_, lane) => BigInt(view.getInt16(at + 2 * lane, true)));
}

function vector(view, at, address) {
  return [address / ROW_BYTES, ...int16s(view, at, LANES)];
}

/** For other channels a rescaled sum could wrap. */
function channel(view, at, address) {
  const bias = view.getBigInt64(at, true), multiplier = BigInt(view.getInt32(at + 8, true)), limit = BigInt(view.getUint32(at + 12, true));
  const size = (value) => (value < 0n ? -value : value);
  requireThat(limit <= MAX_LIMIT && size(multiplier) <= limit && size(bias) <= MAX_BIAS, "a channel out of bounds");
  const most = MAX_SCALED_BIAS / (size(multiplier) || 1n);
  requireThat(size(bias) <= most, "a channel's bias out of bounds");
  return [address / ROW_BYTES, bias, multiplier, limit];
}

/** One more than places of elements, all of one operand. */
function pattern(view, at, address) {
  const places = Array.from({ length: LANES }, (_, lane) => view.getUint32(at + 4 * lane, true));
  const second = places[0] >= SECOND_OPERAND;
  requireThat(places.every((place) => place >= SECOND_OPERAND === second), "a pattern's row with elements of both operands");
  return [address / PATTERN_BYTES, Number(second), ...places.map((place) => place % SECOND_OPERAND)];
}

function entries(view, at, address) {
  return [address / ENTRY_BYTES, ...int16s(view, at, ENTRIES)];
}
