/** What a proof of a run states: this image, run from its entry, exits with this code and writes this journal. */

import { blake3 } from "./blake3.js";
import { ascii, concat, u64 } from "./bytes.js";
import { demand } from "./errors.js";
import { BLOWUPS, LOG_MIN_HEIGHT } from "./parameters.js";
import { sum } from "./shape.js";

const IMAGE_DOMAIN = ascii("zkvm/image/1");
const TWO_32 = 2 ** 32;
const FIRST_TIME = 4, LAST_TIME = 0;
const LAST_PC = TWO_32;
/** Ids of the buses on which the verifier puts tuples of its own. */
const STATE = 1, ZERO_LIST = 3, JOURNAL = 14, SEGMENT_STATE = 38;

/** Refuse a header that no image can have; what the bytes can hold at all is checked when they are read. */
export function checkHeader(header) {
  const edges = header.gaps.flat();
  const ascending = edges.every((edge, i) => i === 0 || edge > edges[i - 1]);
  demand(ascending, "CLAIM", "the image's gaps are not sorted, disjoint ranges of words below 2^30");
  const admissible = header.logs.every((log) => log === 0 || log >= LOG_MIN_HEIGHT);
  demand(admissible, "CLAIM", "a preprocessed height is not an admissible power of two");
}

/** The header as it is absorbed and hashed. */
export function headerBytes({ entry, stackPointer, gaps, logs, roots }) {
  const heights = logs.map((log) => (log > 0 ? 2 ** log : 0));
  return concat(u64(entry, stackPointer, gaps.length, ...gaps.flat(), heights.length, ...heights), ...roots);
}

/** 32 bytes: BLAKE3 of a domain, the machine's digest and the header. */
export function imageId(machine, header) {
  return blake3(concat(IMAGE_DOMAIN, machine.digest, headerBytes(header)));
}

/**
 * The statement: labelled bytes to absorb, the height that it fixes for each chip with preprocessed columns (0: absent) and null for
 * the others, the preprocessed root of the blowup, and the tuples that the verifier puts on the buses itself.
 */
export function runStatement(machine, header, parameters, journal, exitCode) {
  const logs = [...header.logs];
  return {
    fields: [["image header", headerBytes(header)], ["journal", journal], ["exit code", u64(exitCode)]],
    fixedLogs: machine.chips.map((chip) => (chip.widths[0] > 0 ? logs.shift() : null)),
    preprocessedRoot: header.roots[BLOWUPS.indexOf(parameters.blowup)],
    closings: [
      listed(STATE, true, [[header.entry, FIRST_TIME]]),
      listed(STATE, false, [[LAST_PC + exitCode, LAST_TIME]]),
      ...gapLists(header),
      journalBytes(journal),
    ],
  };
}

/**
 * What the proofs of a run in segments state: all of them together, and each, memory first.
 * @param {{whole: object, segment: object, memory: object}} machines
 * @param {object} header
 * @param {object} parameters
 * @param {Uint8Array[]} written what each segment writes to the journal
 * @param {number} exitCode
 */
export function segmentedStatement({ whole, segment, memory }, header, parameters, written, exitCode) {
  const fixed = new Map(whole.chips.filter((chip) => chip.widths[0] > 0).map(({ name }, k) => [name, header.logs[k]]));
  const part = (machine, fields, closings) => ({
    fields, closings,
    fixedLogs: machine.chips.map((chip) => (chip.widths[0] > 0 ? fixed.get(chip.name) : null)),
    preprocessedRoot: header.roots[BLOWUPS.indexOf(parameters.blowup)],
  });
  const parts = [part(memory, [], gapLists(header))];
  let first = 0;
  for (const own of written) {
    parts.push(part(segment, [["journal part", concat(u64(first, own.length), blake3(own))]], [journalBytes(own, first)]));
    first += own.length;
  }
  const joint = {
    fields: [
      ["machine digests", concat(segment.digest, memory.digest)], ["image header", headerBytes(header)], ["exit code", u64(exitCode)],
    ],
    closings: [
      listed(SEGMENT_STATE, true, [[0, header.entry, FIRST_TIME]]),
      listed(SEGMENT_STATE, false, [[written.length, LAST_PC + exitCode, LAST_TIME]]),
    ],
  };
  return { joint, parts };
}

/** How many tuples a statement puts on the buses. */
export function closingTuples({ closings }) {
  return sum(closings.map((closing) => closing.count));
}

/** Both ends of the lists of zero-initialised words. */
function gapLists({ gaps }) {
  return [listed(ZERO_LIST, true, gaps.map(([start]) => [start - 1, 0])), listed(ZERO_LIST, false, gaps.map(([, end]) => [end, 1]))];
}

/** The bytes of a journal from an index on. A long one has a million tuples: they are made when they are needed. */
function journalBytes(bytes, first = 0) {
  return { bus: JOURNAL, sent: true, count: bytes.length, words: (k) => [first + k, 0, bytes[k], 0] };
}

/** Tuples on a bus, of natural numbers below 2^53; `words` gives the two words of each number of a tuple. */
function listed(bus, sent, tuples) {
  const words = tuples.map((tuple) => tuple.flatMap((number) => [number % TWO_32, Math.floor(number / TWO_32)]));
  return { bus, sent, count: tuples.length, words: (k) => words[k] };
}
