/** The bytes of a receipt: strict, every length checked before anything is allocated. Decoding proves nothing. */

import { DIGEST_BYTES } from "./blake3.js";
import { ascii, Reader, u64 } from "./bytes.js";
import { FormatError } from "./errors.js";
import { BLOWUPS, knownSet, LOG_MAX_HEIGHT } from "./parameters.js";
import { decodeSeal } from "./seal.js";

const MAGIC = ascii("ZKVMRCPT");
const VERSION = 1;
const FLAG_DEV = 1;
const MAX_GAPS = 64;
const MAX_GAP_WORD = 2 ** 30;
const MAX_JOURNAL_BYTES = 2 ** 20;
/** More than any receipt has. */
export const MAX_RECEIPT_BYTES = 2 ** 24;

/**
 * The receipt that these bytes encode: claim, header, journal and seal; the seal is null in a dev receipt, which proves nothing.
 * A receipt of another kind, with magic bytes of its own, would be told apart here.
 * @param {object} machine
 * @param {Uint8Array} data
 * @throws {FormatError}
 */
export function decodeReceipt(machine, data) {
  const reader = new Reader(data);
  reader.constant(MAGIC, "magic bytes of a receipt");
  reader.constant(u64(VERSION).subarray(0, 2), "format version");
  const dev = reader.integer(2, "flags", 0, FLAG_DEV) === FLAG_DEV;
  reader.constant(machine.digest, "digest of the machine (the receipt was made by another version)");
  const header = readHeader(machine, reader);
  const claim = readClaim(reader);
  const journal = reader.take(reader.integer(4, "journal length", 0, MAX_JOURNAL_BYTES), "journal");
  if (dev) reader.end();
  return { claim, header, journal, seal: dev ? null : decodeSeal(machine, reader.take(reader.left, "seal")) };
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
