/** What a proof of a run states: this image, run from its entry, exits with this code and writes this journal. */

import { blake3 } from "./blake3.js";
import { ascii, concat, u64 } from "./bytes.js";
import { demand } from "./errors.js";
import { BLOWUPS, LOG_MIN_HEIGHT } from "./parameters.js";

const IMAGE_DOMAIN = ascii("zkvm/image/1");
const TWO_32 = 2 ** 32;
const FIRST_TIME = 4, LAST_TIME = 0;
const LAST_PC = TWO_32;
/** Ids of the buses on which the verifier puts tuples of its own. */
const STATE = 1, ZERO_LIST = 3, JOURNAL = 14;

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
      listed(ZERO_LIST, true, header.gaps.map(([start]) => [start - 1, 0])),
      listed(ZERO_LIST, false, header.gaps.map(([, end]) => [end, 1])),
      // A long journal has a million tuples: they are made when they are needed.
      { bus: JOURNAL, sent: true, count: journal.length, words: (k) => [k, 0, journal[k], 0] },
    ],
  };
}

/** Tuples on a bus, of natural numbers below 2^53; `words` gives the two words of each number of a tuple. */
function listed(bus, sent, tuples) {
  const words = tuples.map((tuple) => tuple.flatMap((number) => [number % TWO_32, Math.floor(number / TWO_32)]));
  return { bus, sent, count: tuples.length, words: (k) => words[k] };
}
