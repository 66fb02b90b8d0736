/** The bytes of a proof: a short head fixes every length, so a wrong one is refused before anything is allocated. */

import { DIGEST_BYTES } from "./blake3.js";
import { ascii, Reader, u64, words32 } from "./bytes.js";
import { FormatError } from "./errors.js";
import { areCanonical } from "./field.js";
import { FOLDING, knownSet, LOG_MAX_HEIGHT, LOG_MIN_HEIGHT, LOG_MIN_TALLEST } from "./parameters.js";
import { Shape, sum } from "./shape.js";

const MAGIC = ascii("ZKVMSEAL");
const VERSION = 1;
const FLAG_ZK = 1;
const WORD_BYTES = 8;
const K_BYTES = 24;
export const SALT_BYTES = 16;

/**
 * A matrix of field elements: its bytes as they are hashed, and its words as they are computed with.
 */
class Matrix {
  constructor(bytes, rows, rowBytes) {
    this.bytes = bytes;
    this.rows = rows;
    this.rowBytes = rowBytes;
    this.words = words32(bytes);
  }

  /** The bytes of a row. */
  row(number) {
    return this.bytes.subarray(this.rowBytes * number, this.rowBytes * (number + 1));
  }

  /** Where the words of a row begin. */
  start(number) {
    return (this.rowBytes / 4) * number;
  }
}

/**
 * The proof that these bytes encode: every count fits the machine and the parameters, every element is canonical, and no byte is missing
 * or left over. Whether it is valid is for the verifier to say.
 * @param {object} machine
 * @param {Uint8Array} data
 * @throws {FormatError}
 */
export function decodeSeal(machine, data) {
  const reader = new Reader(data);
  reader.constant(MAGIC, "magic bytes of a proof");
  reader.constant(u64(VERSION).subarray(0, 2), "format version");
  const zk = reader.integer(2, "flags", 0, FLAG_ZK) === FLAG_ZK;
  const shape = readShape(machine, reader);
  const counts = readCounts(shape, reader);
  const expected = bodyBytes(shape, counts);
  if (reader.left !== expected) throw new FormatError(`the body must have ${expected} bytes, not ${reader.left}`);
  return { zk, shape, ...readBody(shape, counts, reader), counts };
}

/** Known parameters, and heights with which every size is defined. */
function readShape(machine, reader) {
  const numbers = ["blowup", "queries", "exempt rows"].map((name) => reader.integer(2, name));
  const parameters = knownSet(...numbers);
  if (parameters === undefined) throw new FormatError(`unknown parameters (blowup, queries, exempt rows) = (${numbers.join(", ")})`);
  const logs = reader.take(machine.chips.length, "log heights");
  machine.chips.forEach((chip, number) => {
    if (logs[number] > 0 && (logs[number] < LOG_MIN_HEIGHT || logs[number] > LOG_MAX_HEIGHT)) {
      throw new FormatError(`table ${chip.name}: height 2^${logs[number]} is out of range`);
    }
  });
  if (Math.max(...logs) < LOG_MIN_TALLEST) throw new FormatError(`no table has ${2 ** LOG_MIN_TALLEST} rows`);
  const shape = new Shape(machine, parameters, logs);
  if ([0, 1, 2].some((phase) => shape.levels(phase).length === 0)) {
    throw new FormatError("a tree would be empty: mandatory tables are absent");
  }
  return shape;
}

/** Opened leaves and siblings of every tree. A tree opens no more leaves than the one whose positions fold onto it. */
function readCounts(shape, reader) {
  const { blowup, queries } = shape.parameters;
  let largest = queries;
  const read = (name, height) => {
    const leaves = blowup * height;
    const opened = reader.integer(2, `opened leaves of ${name}`, 1, Math.min(largest, leaves));
    return { opened, siblings: reader.integer(4, `siblings of ${name}`, 0, opened * (31 - Math.clz32(leaves))) };
  };
  const salted = read("salted trees", shape.tallest);
  largest = salted.opened;
  const preprocessed = read("preprocessed tree", shape.preprocessedHeight);
  const layers = shape.friHeights.map((height, number) => {
    const layer = read(`FRI layer ${number}`, height / FOLDING);
    largest = layer.opened;
    return layer;
  });
  return { salted, preprocessed, layers };
}

function bodyBytes(shape, { salted, preprocessed, layers }) {
  const width = (levels) => WORD_BYTES * sum(levels.map((level) => level.width));
  const elements = shape.terminalCount + shape.hereCount + shape.nextCount + shape.finalLength;
  const ofTrees = shape.saltedLevels().map((levels) => (width(levels) + SALT_BYTES) * salted.opened + DIGEST_BYTES * salted.siblings);
  const ofLayers = layers.map(({ opened, siblings }) => FOLDING * K_BYTES * opened + DIGEST_BYTES * siblings);
  return (
    WORD_BYTES + 3 * DIGEST_BYTES + K_BYTES * elements + DIGEST_BYTES * layers.length +
    width(shape.levels(0)) * preprocessed.opened + DIGEST_BYTES * preprocessed.siblings + sum(ofTrees) + sum(ofLayers)
  );
}

function readBody(shape, counts, reader) {
  const matrix = (what, rows, rowBytes) => {
    const result = new Matrix(reader.take(rows * rowBytes, what), rows, rowBytes);
    if (!areCanonical(result.words)) throw new FormatError(`${what}: an element is not canonical`);
    return result;
  };
  const digests = (what, count) => splitDigests(reader.take(DIGEST_BYTES * count, what));
  const tree = (name, levels, { opened, siblings }, salted) => ({
    rows: levels.map(({ width }) => matrix(`${name} rows`, opened, WORD_BYTES * width)),
    salts: salted ? matrix(`${name} salts`, opened, SALT_BYTES) : null,
    siblings: digests(`${name} siblings`, siblings),
  });
  // An object's properties are evaluated in the order in which they are written: that of the bytes.
  return {
    nonce: reader.take(WORD_BYTES, "nonce"),
    ...readRoots(digests),
    terminals: matrix("terminals", shape.terminalCount, K_BYTES),
    openings: matrix("openings", shape.hereCount + shape.nextCount, K_BYTES),
    friRoots: digests("FRI roots", shape.friHeights.length),
    final: matrix("final polynomial", shape.finalLength, K_BYTES),
    preprocessed: tree("preprocessed", shape.levels(0), counts.preprocessed, false),
    salted: ["main", "bus", "quotient"].map((name, phase) => tree(name, shape.saltedLevels()[phase], counts.salted, true)),
    layers: counts.layers.map(({ opened, siblings }, number) => ({
      leaves: matrix(`leaves of FRI layer ${number}`, opened, FOLDING * K_BYTES),
      siblings: digests(`siblings of FRI layer ${number}`, siblings),
    })),
  };
}

function readRoots(digests) {
  const [mainRoot, busRoot, quotientRoot] = digests("main, bus and quotient root", 3);
  return { mainRoot, busRoot, quotientRoot };
}

function splitDigests(bytes) {
  return Array.from({ length: bytes.length / DIGEST_BYTES }, (_, k) => bytes.subarray(DIGEST_BYTES * k, DIGEST_BYTES * (k + 1)));
}
