/** A program's image: its preprocessed tables and its header, from an ELF file as docs/protocol.md says; their hash is the image ID. */

import { hex } from "./bytes.js";
import { preprocessedRoots } from "./commitment.js";
import { constantTables } from "./constants.js";
import { readElf } from "./elf.js";
import { UsageError } from "./errors.js";
import { setBase, WORDS } from "./field.js";
import { programRow, REGISTERS } from "./instructions.js";
import { LOG_MIN_HEIGHT, MAX_EXEMPT } from "./parameters.js";
import { imageId } from "./statement.js";

const MIB = 2 ** 20, TWO_32 = 2 ** 32;
const FLOOR_STEP = 256 * MIB, HIGHEST_FLOOR = 0xf000_0000, LOWEST_ADDRESS = 0x1000;
const STACK_BYTES = 8 * MIB, GUARD_BYTES = STACK_BYTES, INITIAL_STACK_BYTES = 32;
const MAX_ROM_BYTES = 128 * MIB, MAX_GAPS = 64, MAX_WORD = 2 ** 30;
const REGISTER_COUNT = 37, STACK_POINTER = 2, BREAK = 34, HEAP_START = 35, HEAP_LIMIT = 36;
/** Larger programs would keep a browser busy for minutes, and fill its memory. */
const LOG_MOST_ROWS = 20, MOST_WORDS = 2 ** 21;
const RANGE_ENTRIES = 2 ** 16, RANGE_HEIGHT = 2 ** 15;

function requireThat(condition, message) {
  if (!condition) throw new UsageError(`no program of this machine: ${message}`);
}

/**
 * The image ID of a program: 64 hexadecimal digits. Programs of more than some MiB are refused: `zkvm image-id` does those.
 * @param {object} machine
 * @param {Uint8Array} file an ELF file
 * @param {(phase: string, share: number) => void} onProgress
 * @throws {UsageError} it is not a program of this machine, or too large
 */
export function imageIdOf(machine, file, onProgress = () => {}) {
  const { tables, ...header } = imageOf(readElf(file));
  const present = machine.chips.filter((chip) => chip.widths[0] > 0).map(({ name }) => tables.get(name) ?? null);
  const logs = present.map((table) => (table === null ? 0 : Math.log2(table.height)));
  const roots = preprocessedRoots(present.filter((table) => table !== null), onProgress);
  return hex(imageId(machine, { ...header, logs, roots }));
}

/** The tables by name, the entry, the stack pointer and the gaps. */
export function imageOf({ entry, segments }) {
  checkSegments(segments, entry);
  const end = Math.max(...segments.map((segment) => segment.end));
  const floor = Math.ceil((end + 2 * GUARD_BYTES) / FLOOR_STEP) * FLOOR_STEP;
  requireThat(floor <= HIGHEST_FLOOR, "no room is left for a stack");
  const heapStart = Math.ceil(end / 16) * 16, heapLimit = floor - GUARD_BYTES, top = floor + STACK_BYTES;
  const stackPointer = top - INITIAL_STACK_BYTES;
  const ram = words(segments.filter(({ writable, data }) => writable && data.length > 0), false);
  const rom = words(segments.filter(({ writable, kind }) => !writable && kind === 0), true);
  const behind = (own) => [Math.floor((own.address + own.data.length) / 4), wordAfter(own.end)];
  const bss = segments.filter(({ writable }) => writable).map(behind);
  const gaps = gapsOf([...bss, [wordAfter(end), heapLimit / 4], [floor / 4, top / 4]], ram);
  checkGaps(gaps, ram, rom);
  const registers = Array.from({ length: REGISTER_COUNT }, (_, k) => {
    return [REGISTERS + k, { [STACK_POINTER]: stackPointer, [BREAK]: heapStart, [HEAP_START]: heapStart, [HEAP_LIMIT]: heapLimit }[k] ?? 0];
  });
  const program = instructions(segments);
  requireThat(program.some(([pc]) => pc === entry), "its entry is no instruction");
  const withOne = (row) => [...row, 1];
  const present = [
    ["program", table(program.map(withOne), 7)],
    ["ram_image", table([...pairs(ram), ...registers].map(withOne), 3)],
    ["rom", rom.count > 0 ? table(inTwos(pairs(rom).map(withOne)), 6) : null],
    ["range", rangeTable()],
    ...constantTables(segments).map(([name, rows, width]) => [name, rows.length > 0 ? table(rows, width) : null]),
  ];
  return { tables: new Map(present.filter(([, own]) => own !== null)), entry, stackPointer, gaps };
}

function checkSegments(segments, entry) {
  for (const { address, end, writable, executable } of segments) {
    requireThat(!executable || end <= 0xffff_fffc, "code reaches the end of the addresses");
    requireThat(address >= LOWEST_ADDRESS && end <= HIGHEST_FLOOR, "a segment is outside the memory");
    requireThat(!(writable && executable), "a segment is both writable and executable");
    requireThat(!executable || address % 4 === 0, "code is not aligned");
  }
  const romBytes = segments.reduce((sum, { writable, size }) => sum + (writable ? 0 : size), 0);
  requireThat(romBytes <= MAX_ROM_BYTES, "too many read-only bytes");
  segments.slice(1).forEach((above, k) => {
    const below = segments[k];
    requireThat(above.address >= below.end, "segments overlap");
    const shareWord = Math.floor(above.address / 4) < wordAfter(below.end);
    requireThat(above.writable === below.writable || !shareWord, "a word is writable in part");
  });
  const home = segments.some(({ executable, address, data }) => executable && address <= entry && entry + 4 <= address + data.length);
  requireThat(entry % 4 === 0 && home, "its entry is not in its code");
}

/** The first word at or after a byte. */
function wordAfter(address) {
  return Math.ceil(address / 4);
}

/**
 * The words of segments (ascending, disjoint): `count` of them, their `indices` and `values`. Two segments may share a word.
 * @param {object[]} segments
 * @param {boolean} zeros whether the zeros behind the data are words, too
 */
function words(segments, zeros) {
  const bounds = segments.map(({ address, data, end }) => [Math.floor(address / 4), wordAfter(zeros ? end : address + data.length)]);
  const most = bounds.reduce((sum, [low, high]) => sum + high - low, 0);
  requireFew(most, MOST_WORDS);
  const indices = new Uint32Array(most), values = new Uint32Array(most);
  let count = 0;
  segments.forEach(({ address, data }, k) => {
    const [low, high] = bounds[k];
    const shared = count > 0 && indices[count - 1] === low ? 1 : 0;
    const start = count - shared;
    for (let index = low; index < high; index++) indices[start + index - low] = index;
    data.forEach((byte, i) => (values[start + Math.floor((address + i) / 4) - low] |= byte << (8 * ((address + i) % 4))));
    count = start + high - low;
  });
  return { count, indices: indices.subarray(0, count), values: values.subarray(0, count) };
}

/** How many of the words are below an index. */
function below({ indices }, index) {
  let low = 0, high = indices.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (indices[middle] < index) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Disjoint ascending ranges of words: all of `ranges` less the words of `taken` at their ends, joined where they touch. */
function gapsOf(ranges, taken) {
  const isTaken = (index) => taken.indices[below(taken, index)] === index;
  const gaps = [];
  for (let [start, end] of [...ranges].sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    const last = gaps[gaps.length - 1];
    start = Math.max(start, last?.[1] ?? 0);
    while (start < end && isTaken(start)) start++;
    while (start < end && isTaken(end - 1)) end--;
    if (start >= end) continue;
    if (last?.[1] === start) last[1] = end;
    else gaps.push([start, end]);
  }
  return gaps;
}

function checkGaps(gaps, ram, rom) {
  requireThat(gaps.length <= MAX_GAPS, "too many ranges of zeros");
  gaps.forEach(([start, end], k) => {
    requireThat((gaps[k - 1]?.[1] ?? 0) < start && start < end && end <= MAX_WORD, "ranges of zeros out of order");
    requireThat([ram, rom].every((own) => below(own, start) === below(own, end)), "a word of zeros is in the image");
  });
  requireThat(ram.indices.every((index) => rom.indices[below(rom, index)] !== index), "a word is writable and not");
}

/** Rows of the program table without the column `real`. */
function instructions(segments) {
  const rows = [];
  for (const { address, data, executable } of segments) {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    for (let at = 0; executable && at + 4 <= data.length; at += 4) {
      const row = programRow(address + at, view.getUint32(at, true));
      if (row !== null) rows.push([address + at, ...row]);
    }
  }
  return rows;
}

function pairs({ count, indices, values }) {
  return Array.from({ length: count }, (_, k) => [4 * indices[k], values[k]]);
}

/** Two entries in a row. */
function inTwos(entries) {
  return Array.from({ length: Math.ceil(entries.length / 2) }, (_, k) => entries.slice(2 * k, 2 * k + 2).flat());
}

/** A table from its rows: natural numbers below 2^53, or BigInts of any sign. What a row leaves out is 0. */
function table(rows, width) {
  const height = heightFor(rows.length);
  const columns = Array.from({ length: width }, () => new Uint32Array(WORDS * height));
  rows.forEach((row, k) => row.forEach((value, c) => {
    if (typeof value === "bigint") setBase(columns[c], WORDS * k, value);
    else {
      columns[c][WORDS * k] = value % TWO_32;
      columns[c][WORDS * k + 1] = Math.floor(value / TWO_32);
    }
  }));
  return { height, columns };
}

/** The smallest height that leaves room for the exempt rows of every parameter set. */
function heightFor(used) {
  const log = Math.max(LOG_MIN_HEIGHT, Math.ceil(Math.log2(used + MAX_EXEMPT)));
  requireFew(log, LOG_MOST_ROWS);
  return 2 ** log;
}

function requireFew(count, most) {
  if (count > most) throw new UsageError("the program is too large to compute its image ID here: zkvm image-id does it");
}

/** Bytes of the numbers below 2^16 and their ANDs, in three slots a row; and powers of two. The same for all programs. */
function rangeTable() {
  const slot = RANGE_HEIGHT - MAX_EXEMPT;
  const column = (count, value) => {
    const result = new Uint32Array(WORDS * RANGE_HEIGHT);
    for (let i = 0; i < count; i++) result[WORDS * i] = value(i);
    return result;
  };
  const slots = [0, 1, 2].flatMap((k) => {
    const first = k * slot, count = Math.min(slot, RANGE_ENTRIES - first);
    const low = (i) => (first + i) & 255, high = (i) => (first + i) >> 8;
    return [column(count, low), column(count, high), column(count, (i) => low(i) & high(i))];
  });
  const flags = [slot, RANGE_ENTRIES - 2 * slot, 2 ** 15 - slot, 2 ** 14, 2 ** 7, 32].map((count) => column(count, () => 1));
  return { height: RANGE_HEIGHT, columns: [...slots, ...flags, column(32, (i) => 2 ** i)] };
}
