/** A receipt against what the caller trusts and demands. */

import { blake3, DIGEST_BYTES } from "./blake3.js";
import { fromHex, hex, sameBytes } from "./bytes.js";
import { demand, FormatError, UsageError, VerificationError } from "./errors.js";
import { imageIdOf } from "./image.js";
import { verifyJoint } from "./joint.js";
import { memory, segment, whole } from "./machine-data.js";
import { readMachine } from "./machine.js";
import { checkJournal, checkWeights, digestBytes } from "./model.js";
import { checkRegime, DEFAULT_DEMAND, DEFAULT_SEGMENTS, REGIMES } from "./parameters.js";
import { decodeReceipt, MAGIC_BYTES, mostBytes, tooLong } from "./receipt.js";
import { joinedBits, provenBits } from "./security.js";
import { sum } from "./shape.js";
import { checkHeader, closingTuples, imageId, runStatement, segmentedStatement } from "./statement.js";
import { verifySeal } from "./verify.js";

const known = {};

/** The machine of whole runs that this version verifies: read once. */
export function machine() {
  known.whole ??= readMachine(whole);
  return known.whole;
}

/** All machines: those of runs in segments, too, which are read when they are needed. */
export function machines() {
  known.segment ??= readMachine(segment, machine());
  known.memory ??= readMachine(memory, machine());
  return { whole: machine(), segment: known.segment, memory: known.memory };
}

/** The receipt that these bytes encode. */
export function decode(bytes) {
  return decodeReceipt(machine(), bytes, machines);
}

/**
 * The image ID of a program, 64 hexadecimal digits, from its ELF file: what to do instead of believing one.
 * @throws {UsageError} it is no program of this machine
 */
export function computeImageId(program, { onProgress = () => {} } = {}) {
  if (!isBytes(program)) throw new UsageError("a program's bytes are a Uint8Array or an ArrayBuffer");
  return imageIdOf(machine(), plainBytes(program), onProgress);
}

/** Digits of a user, who may write 0x before them. */
function without0x(value) {
  return typeof value === "string" ? value.replace(/^0x/, "") : value;
}

/** An image ID as 32 bytes, from those or from 64 hexadecimal digits, with or without 0x before them. */
export function parseImageId(value) {
  const bytes = typeof value === "string" ? fromHex(without0x(value)) : value;
  if (!(bytes instanceof Uint8Array) || bytes.length !== DIGEST_BYTES) {
    throw new UsageError(`an image ID is ${2 * DIGEST_BYTES} hexadecimal digits (${DIGEST_BYTES} bytes)`);
  }
  return bytes;
}

const OPTIONS = ["imageId", "minSecurity", "regime", "exitCode", "allowDev", "maxSegments", "model", "weightsDigest", "onProgress"];
/** Of all segments together: their number, and the number of tensors, must not wrap. */
const MAX_INSTRUCTIONS = 2 ** 30 - 2;

function requireThat(condition, message) {
  if (!condition) throw new UsageError(message);
}

/** The caller's demands, each with its default. What is misspelt or of another type must not become a weaker demand. */
function demands(options) {
  const isObject = typeof options === "object" && options !== null;
  requireThat(isObject, "the options are missing: at least imageId is needed");
  for (const name of Object.keys(options)) requireThat(OPTIONS.includes(name), `no option '${name}': there are ${OPTIONS.join(", ")}`);
  const { imageId: id, minSecurity = DEFAULT_DEMAND, regime = "best", exitCode = 0, allowDev = false } = options;
  const { maxSegments = DEFAULT_SEGMENTS } = options;
  const { model = null, weightsDigest = null, onProgress = () => {} } = options;
  requireThat(id !== undefined && id !== null, "a receipt is verified for a program: its image ID is needed");
  requireThat(typeof minSecurity === "number", "minSecurity is a number of bits");
  requireThat(Number.isInteger(exitCode), "exitCode is an integer");
  requireThat(typeof allowDev === "boolean", "allowDev is true or false");
  requireThat(Number.isInteger(maxSegments), "maxSegments is an integer");
  requireThat(typeof onProgress === "function", "onProgress is a function");
  requireThat(model === null || model.digest instanceof Uint8Array, "model is what readModel returns");
  checkRegime(regime);
  const ids = (Array.isArray(id) ? id : [id]).map(parseImageId);
  requireThat(ids.length > 0, "a receipt is verified for a program: its image ID is needed");
  const weights = weightsDigest === null ? null : digestBytes(without0x(weightsDigest), "the digest of the weights");
  return { ids, minSecurity, regime, exitCode, allowDev, maxSegments, model, weights, onProgress };
}

/** A view of bytes as such. */
function plainBytes(data) {
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
}

/** A copy of the bytes, so that nobody changes them between two checks. */
function bytesOf(data) {
  if (!isBytes(data)) throw new UsageError("a receipt's bytes are a Uint8Array or an ArrayBuffer");
  const view = plainBytes(data);
  const most = mostBytes(view.slice(0, MAGIC_BYTES));
  if (view.length > most) throw new FormatError(tooLong(most));
  return view.slice();
}

function isBytes(data) {
  const kinds = [ArrayBuffer, ...(typeof SharedArrayBuffer === "undefined" ? [] : [SharedArrayBuffer])];
  return ArrayBuffer.isView(data) || kinds.some((kind) => data instanceof kind);
}

/**
 * Accept the receipt as the proof of a run of a program, or throw. The options are described in index.d.ts.
 * @throws {VerificationError} with the reason of the first check that fails
 * @throws {UsageError} the options make no sense
 */
export function verify(data, options) {
  const { ids, model, weights, onProgress, ...policy } = demands(options);
  onProgress("decode", 0);
  const [expected, ...others] = ids;
  for (const other of others) {
    demand(sameBytes(other, expected), "IMAGE_ID", () => `one program is expected, not two: ${hex(expected)} and ${hex(other)}`);
  }
  const receipt = decode(bytesOf(data));
  const statement = checkReceipt(machine(), receipt, expected, policy);
  if (receipt.segmented !== null) verifySegments(statement, receipt.segmented, policy, onProgress);
  else if (receipt.seal !== null) verifySeal(machine(), statement, receipt.seal, policy, { progress: onProgress });
  if (weights !== null) checkWeights(receipt.journal, weights);
  const output = model === null ? null : checkJournal(model, receipt.journal);
  return accepted(receipt, statement, policy.regime, output);
}

/**
 * Everything about a receipt but its proofs; returns the statement that they must be of, of a run in segments those of all of them, null
 * for a dev receipt that the policy accepts.
 * @throws {VerificationError}
 */
export function checkReceipt(machine, receipt, expected, { exitCode, allowDev, maxSegments }) {
  const { claim, header, journal, seal, segmented } = receipt;
  checkHeader(header);
  const id = imageId(machine, header);
  demand(sameBytes(id, expected), "IMAGE_ID", () => `the receipt is for image ${hex(id)}, not ${hex(expected)}`);
  demand(sameBytes(claim.imageId, expected), "CLAIM", "the claim's image ID is not that of the receipt's image");
  demand(sameBytes(claim.journalDigest, blake3(journal)), "CLAIM", "the claim's digest is not that of the journal");
  demand(claim.exitCode === exitCode, "POLICY", () => `the guest exited with ${claim.exitCode}, not ${exitCode}`);
  if (seal === null && segmented === null) {
    demand(allowDev, "POLICY", "a dev receipt: nothing is proven");
    return null;
  }
  const [first] = seal === null ? segmented.proofs : [seal];
  demand(first.shape.parameters === claim.parameters, "CLAIM", "the claim's parameters are not those of the proof");
  if (segmented === null) return runStatement(machine, header, claim.parameters, journal, claim.exitCode);
  const { length } = segmented.lengths, written = sum(segmented.lengths);
  demand(length <= maxSegments, "POLICY", () => `${length} segments; at most ${maxSegments} are verified`);
  demand(written === journal.length, "CLAIM", () => `segments write ${written} bytes; the journal has ${journal.length}`);
  return segmentedStatement(machines(), header, claim.parameters, partsOf(journal, segmented.lengths), claim.exitCode);
}

/** Accept the proofs of a run in segments, or refuse them. */
function verifySegments({ joint, parts }, { proofs }, policy, progress) {
  verifyJoint(joint, parts, proofs, policy, progress);
  const rows = sum(proofs.map(({ shape }) => shape.instructionRows));
  demand(rows < MAX_INSTRUCTIONS, "SHAPE", () => `${rows} rows of instructions in all segments; there are fewer than ${MAX_INSTRUCTIONS}`);
}

/** What each segment writes. */
function partsOf(journal, lengths) {
  let first = 0;
  return lengths.map((length) => journal.subarray(first, (first += length)));
}

/** Proven bits of an accepted receipt under a regime; 0 of a dev receipt. */
function bitsOf({ seal, segmented }, statement, regime) {
  if (segmented !== null) {
    const shapes = segmented.proofs.map((own) => own.shape);
    return joinedBits(shapes, statement.parts.map(closingTuples), closingTuples(statement.joint), regime);
  }
  return seal === null ? 0 : provenBits(seal.shape, closingTuples(statement), regime);
}

/** What an accepted receipt says. */
function accepted(receipt, statement, regime, output) {
  const { claim, journal, seal, segmented } = receipt;
  const bits = (name) => Math.floor(bitsOf(receipt, statement, name));
  const { blowup, queries, exempt } = claim.parameters;
  const [proven] = seal === null ? (segmented?.proofs ?? [null]) : [seal];
  return {
    imageId: hex(claim.imageId),
    exitCode: claim.exitCode,
    journal: journal.slice(),
    parameters: { blowup, queries, exemptRows: exempt },
    securityBits: bits(regime),
    regime,
    bitsByRegime: Object.fromEntries(REGIMES.map((name) => [name, bits(name)])),
    zk: proven !== null && proven.zk,
    dev: proven === null,
    ...(output === null ? {} : { output }),
  };
}

/** As `verify`, but a refusal is an answer: `accepted`, and the claim or `reason` and `detail`. */
export function verdict(data, options) {
  try {
    return { accepted: true, ...verify(data, options) };
  } catch (error) {
    if (error instanceof VerificationError) return { accepted: false, reason: error.reason, detail: error.detail };
    throw error;
  }
}

/** What is inside a receipt; nothing of it is verified. */
export function inspect(data) {
  const bytes = bytesOf(data);
  return contentsOf(decode(bytes), bytes.length);
}

/** The same of a receipt that is decoded already. */
export function contentsOf({ claim, header, journal, seal, segmented }, receiptBytes) {
  const { blowup, queries, exempt, name, bits } = claim.parameters;
  const proofs = segmented === null ? [] : segmented.proofs.map(({ shape, data }) => ({ bytes: data.length, heights: heightsOf(shape) }));
  const [proven] = seal === null ? (segmented?.proofs ?? [null]) : [seal];
  return {
    imageId: hex(claim.imageId),
    exitCode: claim.exitCode,
    journal: journal.slice(),
    journalDigest: hex(claim.journalDigest),
    parameters: { blowup, queries, exemptRows: exempt, name, claimedBits: bits },
    dev: proven === null,
    zk: proven !== null && proven.zk,
    receiptBytes,
    machineDigest: hex(machine().digest),
    entry: header.entry,
    heights: seal === null ? {} : heightsOf(seal.shape),
    memory: proofs[0] ?? null,
    segments: proofs.slice(1).map((own, k) => ({ ...own, journalBytes: segmented.lengths[k] })),
  };
}

function heightsOf(shape) {
  return Object.fromEntries(shape.tables.map(({ chip, height }) => [chip.name, height]));
}
