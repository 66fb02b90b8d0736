/** A receipt against what the caller trusts and demands. */

import { blake3, DIGEST_BYTES } from "./blake3.js";
import { fromHex, hex, sameBytes } from "./bytes.js";
import { demand, FormatError, UsageError, VerificationError } from "./errors.js";
import { facts, maxRows, text } from "./machine-data.js";
import { readMachine } from "./machine.js";
import { checkJournal, checkWeights, digestBytes } from "./model.js";
import { checkRegime, DEFAULT_DEMAND, REGIMES } from "./parameters.js";
import { decodeReceipt, MAX_RECEIPT_BYTES } from "./receipt.js";
import { provenBits } from "./security.js";
import { checkHeader, imageId, runStatement } from "./statement.js";
import { closingTuples, verifySeal } from "./verify.js";

let known;

/** The machine that this version verifies: read once. */
export function machine() {
  known ??= readMachine(text, facts, maxRows);
  return known;
}

/** An image ID as 32 bytes, from those or from 64 hexadecimal digits, with or without 0x before them. */
export function parseImageId(value) {
  const bytes = typeof value === "string" ? fromHex(value.replace(/^0x/, "")) : value;
  if (!(bytes instanceof Uint8Array) || bytes.length !== DIGEST_BYTES) {
    throw new UsageError(`an image ID is ${2 * DIGEST_BYTES} hexadecimal digits (${DIGEST_BYTES} bytes)`);
  }
  return bytes;
}

const OPTIONS = ["imageId", "minSecurity", "regime", "exitCode", "allowDev", "model", "weightsDigest", "onProgress"];

function requireThat(condition, message) {
  if (!condition) throw new UsageError(message);
}

/** The caller's demands, each with its default. What is misspelt or of another type must not become a weaker demand. */
function demands(options) {
  const isObject = typeof options === "object" && options !== null;
  requireThat(isObject, "the options are missing: at least imageId is needed");
  for (const name of Object.keys(options)) requireThat(OPTIONS.includes(name), `no option '${name}': there are ${OPTIONS.join(", ")}`);
  const { imageId: id, minSecurity = DEFAULT_DEMAND, regime = "best", exitCode = 0, allowDev = false } = options;
  const { model = null, weightsDigest = null, onProgress = () => {} } = options;
  requireThat(id !== undefined && id !== null, "a receipt is verified for a program: its image ID is needed");
  requireThat(typeof minSecurity === "number", "minSecurity is a number of bits");
  requireThat(Number.isInteger(exitCode), "exitCode is an integer");
  requireThat(typeof allowDev === "boolean", "allowDev is true or false");
  requireThat(typeof onProgress === "function", "onProgress is a function");
  requireThat(model === null || model.digest instanceof Uint8Array, "model is what readModel returns");
  checkRegime(regime);
  const ids = (Array.isArray(id) ? id : [id]).map(parseImageId);
  requireThat(ids.length > 0, "a receipt is verified for a program: its image ID is needed");
  const weights = weightsDigest === null ? null : digestBytes(weightsDigest, "the digest of the weights");
  return { ids, minSecurity, regime, exitCode, allowDev, model, weights, onProgress };
}

/** A copy of the bytes, so that nobody changes them between two checks. */
function bytesOf(data) {
  if (!isBytes(data)) throw new UsageError("a receipt's bytes are a Uint8Array or an ArrayBuffer");
  if (data.byteLength > MAX_RECEIPT_BYTES) throw new FormatError(`more than ${MAX_RECEIPT_BYTES} bytes: no receipt is that long`);
  const view = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  return Uint8Array.from(view);
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
  const receipt = decodeReceipt(machine(), bytesOf(data));
  const statement = checkReceipt(machine(), receipt, expected, policy);
  if (statement !== null) verifySeal(machine(), statement, receipt.seal, policy, onProgress);
  if (weights !== null) checkWeights(receipt.journal, weights);
  const output = model === null ? null : checkJournal(model, receipt.journal);
  return accepted(receipt, policy.regime, output);
}

/**
 * Everything about a receipt but its proof; returns the statement that it must be of, null for a dev receipt that the policy accepts.
 * @throws {VerificationError}
 */
export function checkReceipt(machine, { claim, header, journal, seal }, expected, { exitCode, allowDev }) {
  checkHeader(header);
  const id = imageId(machine, header);
  demand(sameBytes(id, expected), "IMAGE_ID", () => `the receipt is for image ${hex(id)}, not ${hex(expected)}`);
  demand(sameBytes(claim.imageId, expected), "CLAIM", "the claim's image ID is not that of the receipt's image");
  demand(sameBytes(claim.journalDigest, blake3(journal)), "CLAIM", "the claim's digest is not that of the journal");
  demand(claim.exitCode === exitCode, "POLICY", () => `the guest exited with ${claim.exitCode}, not ${exitCode}`);
  if (seal === null) {
    demand(allowDev, "POLICY", "a dev receipt: nothing is proven");
    return null;
  }
  demand(seal.shape.parameters === claim.parameters, "CLAIM", "the claim's parameters are not those of the proof");
  return runStatement(machine, header, claim.parameters, journal, claim.exitCode);
}

/** What an accepted receipt says. */
function accepted({ claim, header, journal, seal }, regime, output) {
  const statement = seal === null ? null : runStatement(machine(), header, claim.parameters, journal, claim.exitCode);
  const bits = (name) => (seal === null ? 0 : Math.floor(provenBits(seal.shape, closingTuples(statement), name)));
  const { blowup, queries, exempt } = claim.parameters;
  return {
    imageId: hex(claim.imageId),
    exitCode: claim.exitCode,
    journal: journal.slice(),
    parameters: { blowup, queries, exemptRows: exempt },
    securityBits: bits(regime),
    regime,
    bitsByRegime: Object.fromEntries(REGIMES.map((name) => [name, bits(name)])),
    zk: seal !== null && seal.zk,
    dev: seal === null,
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
  const { claim, header, journal, seal } = decodeReceipt(machine(), bytes);
  const { blowup, queries, exempt, name, bits } = claim.parameters;
  return {
    imageId: hex(claim.imageId),
    exitCode: claim.exitCode,
    journal: journal.slice(),
    journalDigest: hex(claim.journalDigest),
    parameters: { blowup, queries, exemptRows: exempt, name, claimedBits: bits },
    dev: seal === null,
    zk: seal !== null && seal.zk,
    receiptBytes: bytes.length,
    machineDigest: hex(machine().digest),
    entry: header.entry,
    heights: seal === null ? {} : Object.fromEntries(seal.shape.tables.map(({ chip, height }) => [chip.name, height])),
  };
}
