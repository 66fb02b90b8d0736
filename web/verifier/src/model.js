/** The public interface of a compiled model (`model.json`), and what its journals say. */

import { blake3, DIGEST_BYTES } from "./blake3.js";
import { ascii, concat, fromHex, hex, sameBytes } from "./bytes.js";
import { demand, UsageError } from "./errors.js";

const FORMAT = 6;
const DOMAIN = ascii("zkvm/model interface/2");
const KINDS = ["real", "integer", "boolean", "float"];
const MAX_ELEMENTS = 2 ** 30;
const SCALE_BYTES = 8, FLAG_BYTES = 4, WORD_BYTES = 4;
const MAX_WORD = 2 ** 16 - 1;

/**
 * Read a compiled model's `model.json`.
 * @param {string} text its content
 * @throws {UsageError} it is none
 */
export function readModel(text) {
  const content = parse(text);
  requireThat(isObject(content), "it is no object");
  requireThat(content.format === FORMAT, `format ${content.format}; this version reads ${FORMAT}: compile the model again`);
  const weights = oneOf(content.weights, "public", "private");
  const model = {
    inputs: tensors(content.inputs, false, false),
    outputs: tensors(content.outputs, true, weights === "private"),
    weights,
    inputMode: oneOf(content.input_mode, "none", "digest"),
    outputMode: oneOf(content.output_mode, "full", "top1", "digest"),
    saturation: oneOf(content.saturation, "refuse", "flag"),
    card: content.card,
    weightsDigest: weights === "private" ? digestBytes(content.weights_digest, "weights_digest") : null,
  };
  requireThat(isObject(model.card), "the card is no object");
  const { private_rows: rows = [0, 0] } = content; // no answer follows from them, but a file whose rows make no sense is none
  requireThat(isPairOfCounts(rows), `rows of private vectors: ${JSON.stringify(rows)}`);
  return Object.freeze({ ...model, digest: interfaceDigest(model) });
}

function isPairOfCounts(value) {
  return Array.isArray(value) && value.length === 2 && value.every((number) => Number.isInteger(number) && number >= 0);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`not a compiled model: ${error.message}`);
  }
}

function requireThat(condition, detail) {
  if (!condition) throw new UsageError(`not a compiled model: ${detail}`);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function oneOf(value, ...choices) {
  requireThat(choices.includes(value), `'${value}' is none of ${choices.join(", ")}`);
  return value;
}

/** The 32 bytes of a digest in hexadecimal digits. */
export function digestBytes(value, what) {
  const bytes = typeof value === "string" ? fromHex(value) : null;
  if (bytes === null || bytes.length !== DIGEST_BYTES) throw new UsageError(`${what}: a digest has ${2 * DIGEST_BYTES} hexadecimal digits`);
  return bytes;
}

function tensors(entries, outputs, unknownScales) {
  requireThat(Array.isArray(entries), "inputs and outputs are lists");
  const result = entries.map((entry) => tensor(entry, unknownScales));
  requireThat(outputs || result.every(({ labels }) => labels.length === 0), "an input with names of classes");
  requireThat(new Set(result.map(({ name }) => name)).size === result.length, "two tensors of one name");
  return result;
}

function tensor(entry, unknownScale) {
  requireThat(isObject(entry) && typeof entry.name === "string", "a tensor without a name");
  const { name, shape, kind, scale, lo, hi, labels = [], layout } = entry;
  const sizes = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size > 0);
  requireThat(sizes && shape.reduce((a, b) => a * b, 1) <= MAX_ELEMENTS, `tensor '${name}' has an impossible shape`);
  requireThat(KINDS.includes(kind), `tensor '${name}' is of no known kind`);
  const unknown = scale === null && kind === "real" && unknownScale;
  requireThat(unknown || (typeof scale === "number" && scale > 0 && scale < Infinity), `tensor '${name}' has an impossible scale`);
  requireThat(Number.isSafeInteger(lo) && Number.isSafeInteger(hi), `tensor '${name}' has impossible bounds`);
  const named = Array.isArray(labels) && labels.every((label) => typeof label === "string") && (labels.length === 0 || kind === "integer");
  requireThat(named, `tensor '${name}' has impossible names of classes`);
  const result = { name, shape, kind, scale, lo, hi, labels, layout };
  requireThat(layout === undefined || fits(layout, result), `tensor '${name}' has an impossible layout`);
  return Object.freeze(result);
}

/** Whether an input comes as this tensor of int16 vectors, which decides what a digest of it says. */
function fits(layout, tensor) {
  const { channels, positions, channels_first: first } = isObject(layout) ? layout : {};
  if (![channels, positions].every(Number.isSafeInteger) || typeof first !== "boolean") return false;
  return channels >= 1 && positions >= 1 && channels * positions === sizeOf(tensor) && tensor.hi - tensor.lo === MAX_WORD;
}

function sizeOf({ shape }) {
  return shape.reduce((a, b) => a * b, 1);
}

// ----- the digest ------------------------------------------------------------------------------------------------------------------

/** 32 bytes that the guest commits to: BLAKE3 of a domain and of the interface as compact JSON. */
function interfaceDigest({ inputs, outputs, weights, inputMode, outputMode, saturation }) {
  const canonical = ({ name, shape, kind, scale, lo, hi, labels }) => {
    return [name, shape, kind, scale === null ? null : hex(float64(scale)), lo, hi, labels];
  };
  const digested = ({ layout }) => {
    const { channels, positions, channels_first: first } = layout ?? {};
    return layout !== undefined && inputMode === "digest" ? [[channels, positions, first]] : [];
  };
  const own = inputs.map((input) => [...canonical(input), ...digested(input)]);
  const content = [own, outputs.map(canonical), weights, inputMode, outputMode, saturation];
  return blake3(concat(DOMAIN, utf8(json(content))));
}

function float64(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}

/** Compact JSON in which only quotes, backslashes and control characters are escaped. */
function json(value) {
  if (Array.isArray(value)) return `[${value.map(json).join(",")}]`;
  // Lone surrogates, which JSON.stringify would escape, stay as they are.
  if (typeof value === "string") return `"${value.replace(/["\\\u0000-\u001f]/g, (mark) => JSON.stringify(mark).slice(1, -1))}"`;
  return String(value);
}

/** UTF-8, in which a lone surrogate has the three bytes of its number. */
function utf8(text) {
  const parts = text.match(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]|[^\ud800-\udfff]+/g) ?? [];
  return concat(
    ...parts.map((part) => {
      const code = part.charCodeAt(0);
      if (part.length > 1 || code < 0xd800 || code > 0xdfff) return ascii(part);
      return Uint8Array.of(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }),
  );
}

// ----- journals --------------------------------------------------------------------------------------------------------------------

/**
 * What a journal of this model says.
 * @throws {VerificationError} MODEL, it is none of this model
 */
export function checkJournal(model, journal) {
  const sameInterface = sameBytes(journal.subarray(0, DIGEST_BYTES), model.digest);
  demand(sameInterface, "MODEL", "the journal is not one of a model with this interface: names, shapes, scales or modes differ");
  if (model.weights === "private") checkWeights(journal, model.weightsDigest);
  const names = [...(model.weights === "private" ? ["weights"] : []), ...(model.inputMode === "digest" ? ["input"] : [])];
  const digests = Object.fromEntries(names.map((name, k) => [name, hex(journal.subarray(DIGEST_BYTES * (k + 1), DIGEST_BYTES * (k + 2)))]));
  const start = DIGEST_BYTES * (names.length + 1);
  const unknown = model.outputs.filter(({ scale }) => scale === null);
  const elements = model.outputs.reduce((total, output) => total + sizeOf(output), 0);
  const written = { full: SCALE_BYTES * unknown.length + WORD_BYTES * elements, top1: WORD_BYTES, digest: DIGEST_BYTES }[model.outputMode];
  const flag = model.saturation === "flag" ? FLAG_BYTES : 0;
  const expected = start + flag + written;
  const length = `a journal of ${journal.length} bytes is not one of this model, which writes ${expected}`;
  demand(journal.length === expected, "MODEL", length);
  const view = new DataView(journal.buffer, journal.byteOffset, journal.byteLength);
  const saturated = flag > 0 ? readFlag(view, start) : null;
  return { saturated, ...readBody(model, view, start + flag, digests, unknown) };
}

function readBody(model, view, start, digests, unknown) {
  const result = { tensors: {}, label: null, labelName: null, digests };
  if (model.outputMode === "digest") {
    const body = new Uint8Array(view.buffer, view.byteOffset + start, DIGEST_BYTES);
    return { ...result, digests: { ...digests, output: hex(body) } };
  }
  if (model.outputMode === "top1") {
    const label = view.getInt32(start, true);
    const named = model.outputs.find((output) => sizeOf(output) === 1 && ["integer", "boolean"].includes(output.kind));
    return { ...result, label, labelName: named !== undefined && named.labels.length > 0 ? labelOf(named, label) : null };
  }
  const scales = new Map(unknown.map(({ name }, k) => [name, readScale(view, start + SCALE_BYTES * k)]));
  let place = start + SCALE_BYTES * unknown.length;
  for (const output of model.outputs) {
    const values = Array.from({ length: sizeOf(output) }, (_, k) => {
      return valueOf(output, view, place + WORD_BYTES * k, scales.get(output.name) ?? output.scale);
    });
    result.tensors[output.name] = { shape: [...output.shape], values };
    place += WORD_BYTES * values.length;
  }
  return result;
}

/** What a word of an output stands for: a number, a truth value, or the name of a class. */
function valueOf(output, view, place, scale) {
  const word = view.getInt32(place, true);
  if (output.labels.length > 0) return labelOf(output, word);
  if (output.kind === "float") return view.getFloat32(place, true);
  if (output.kind === "boolean") return word !== 0;
  return output.kind === "real" ? word * scale : word;
}

function labelOf({ name, labels }, word) {
  demand(word >= 0 && word < labels.length, "MODEL", `output '${name}' says class ${word}; the model has ${labels.length}`);
  return labels[word];
}

function readFlag(view, place) {
  const word = view.getUint32(place, true);
  demand(word <= 1, "MODEL", `the journal's word on saturation is ${word}, neither 0 nor 1: no compiled model writes it`);
  return word === 1;
}

function readScale(view, place) {
  const scale = view.getFloat64(place, true);
  demand(scale > 0 && scale < Infinity, "MODEL", `the journal says that an output has the scale ${scale}: no compiled model has`);
  return scale;
}

/**
 * Refuse the journal of a run with other private weights than the published ones.
 * @param {Uint8Array} journal of a compiled model with private weights
 * @param {Uint8Array} published their digest
 * @throws {VerificationError} MODEL
 */
export function checkWeights(journal, published) {
  const found = journal.subarray(DIGEST_BYTES, 2 * DIGEST_BYTES);
  demand(sameBytes(found, published), "MODEL", () => {
    return `the run's private weights have the digest ${hex(found) || "(none)"}, not ${hex(published)}`;
  });
}
