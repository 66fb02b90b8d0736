/** The bytes of a receipt: strict, every length checked before anything is allocated. Decoding proves nothing. */

import { DIGEST_BYTES } from "./blake3.js";
import { ascii, Reader, sameBytes, u64 } from "./bytes.js";
import { FormatError } from "./errors.js";
import { BLOWUPS, knownSet, LOG_MAX_HEIGHT } from "./parameters.js";
import { decodeSeal, readPart } from "./seal.js";

const MAGIC = ascii("ZKVMRCPT"), SEGMENTS_MAGIC = ascii("ZKVMSEGS");
const VERSION = 1;
const FLAG_DEV = 1;
const MAX_GAPS = 64;
const MAX_GAP_WORD = 2 ** 30;
const MAX_JOURNAL_BYTES = 2 ** 20;
const MAX_SEGMENTS = 2 ** 16;
/** Bytes of a file that say which kind of receipt it is. */
export const MAGIC_BYTES = 8;
/** More than any receipt of one proof has, and a bound on those of runs in segments. */
const MAX_RECEIPT_BYTES = 2 ** 24, MAX_SEGMENTED_BYTES = 2 ** 31;

/** How long a receipt that begins with these bytes may be. */
export function mostBytes(head) {
  return isSegmented(head) ? MAX_SEGMENTED_BYTES : MAX_RECEIPT_BYTES;
}

/** What is said of a longer one. */
export function tooLong(most) {
  return `more than ${most} bytes: no receipt is that long${most === MAX_RECEIPT_BYTES ? ", but those of runs in segments" : ""}`;
}

function isSegmented(data) {
  return sameBytes(data.subarray(0, MAGIC_BYTES), SEGMENTS_MAGIC);
}

/**
 * The receipt that these bytes encode: claim, header, journal and seal, or, of a run in segments, `segmented`: bytes that each segment
 * writes to the journal, and the proofs. Both are null in a dev receipt, which proves nothing.
 * @param {object} machine
 * @param {Uint8Array} data
 * @param {() => {segment: object, memory: object}} segmentMachines asked only if there are segments
 * @throws {FormatError}
 */
export function decodeReceipt(machine, data, segmentMachines) {
  const reader = new Reader(data), inSegments = isSegmented(data);
  reader.constant(inSegments ? SEGMENTS_MAGIC : MAGIC, "magic bytes of a receipt");
  reader.constant(u64(VERSION).subarray(0, 2), "format version");
  const dev = reader.integer(2, "flags", 0, inSegments ? 0 : FLAG_DEV) === FLAG_DEV;
  reader.constant(machine.digest, "digest of the machine (the receipt was made by another version)");
  const header = readHeader(machine, reader);
  const claim = readClaim(reader);
  const journal = reader.take(reader.integer(4, "journal length", 0, MAX_JOURNAL_BYTES), "journal");
  if (inSegments) return { claim, header, journal, seal: null, segmented: readSegments(reader, journal.length, segmentMachines()) };
  if (dev) reader.end();
  return { claim, header, journal, seal: dev ? null : decodeSeal(machine, reader.take(reader.left, "seal")), segmented: null };
}

/** The proofs of a run in segments, memory first, up to the end. */
function readSegments(reader, journalBytes, { segment, memory }) {
  for (const { digest, name } of [segment, memory]) {
    reader.constant(digest, `digest of the machine '${name}' (the receipt was made by another version)`);
  }
  const count = reader.integer(4, "number of segments", 1, Math.min(MAX_SEGMENTS, Math.floor(reader.left / DIGEST_BYTES)));
  const lengths = Array.from({ length: count }, () => reader.integer(4, "length of a journal's part", 0, journalBytes));
  const proofs = Array.from({ length: count + 1 }, (_, number) => readPart(number === 0 ? memory : segment, reader));
  reader.end();
  return { lengths, proofs };
}

/** The image's header; that its numbers are admissible for an image is checked later. */
function readHeader(machine, reader) {
  const entry = reader.integer(4, "entry");
  const stackPointer = reader.integer(4, "initial stack pointer");
  const edge = (what) => reader.integer(4, what, 1, MAX_GAP_WORD);
  const count = reader.integer(1, "number of gaps", 0, MAX_GAPS);
  const gaps = Array.from({ length: count }, () => [edge("start of a gap"), edge("end of a gap")]);
  const tables = machine.chips.filter((chip) => chip.widths[0] > 0);
  const logs = tables.map((chip) => reader.integer(1, `log height of ${chip.name}`, 0, LOG_MAX_HEIGHT));
  return { entry, stackPointer, gaps, logs, roots: BLOWUPS.map(() => reader.take(DIGEST_BYTES, "preprocessed root")) };
}

function readClaim(reader) {
  const imageId = reader.take(DIGEST_BYTES, "image ID");
  const exitCode = reader.integer(4, "exit code");
  const journalDigest = reader.take(DIGEST_BYTES, "journal digest");
  const numbers = ["blowup", "queries", "exempt rows"].map((name) => reader.integer(2, name));
  const parameters = knownSet(...numbers);
  if (parameters === undefined) throw new FormatError(`unknown parameters (blowup, queries, exempt rows) = (${numbers.join(", ")})`);
  return { imageId, exitCode, journalDigest, parameters };
}
