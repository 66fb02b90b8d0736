/** The bytes of a proof: a short head fixes every length, so a wrong one is refused before anything is allocated. */

import { DIGEST_BYTES } from "./blake3.js";
import { ascii, Reader, u64, words32 } from "./bytes.js";
import { FormatError } from "./errors.js";
import { areCanonical } from "./field.js";
import { FOLDING, knownSet, LOG_MAX_HEIGHT, LOG_MIN_HEIGHT, LOG_MIN_TALLEST } from "./parameters.js";
import { BUS, EARLY, MAIN, PREPROCESSED, Shape, sum } from "./shape.js";

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
  const seal = readSeal(machine, reader, true);
  reader.end();
  return seal;
}

/** The proof that the next bytes encode; `last`: nothing else may follow. */
function readSeal(machine, reader, last) {
  reader.constant(MAGIC, "magic bytes of a proof");
  reader.constant(u64(VERSION).subarray(0, 2), "format version");
  const zk = reader.integer(2, "flags", 0, FLAG_ZK) === FLAG_ZK;
  const shape = readShape(machine, reader);
  const counts = readCounts(shape, reader);
  const expected = bodyBytes(shape, counts);
  if (reader.left < expected || (last && reader.left > expected)) {
    throw new FormatError(`the body must have ${expected} bytes, not ${reader.left}`);
  }
  return { zk, shape, ...readBody(shape, counts, reader), counts, early: null };
}

/**
 * One of several joined proofs: as a proof by itself, and then the tree of its early columns with the values to which they are pinned.
 * @param {object} machine
 * @param {Uint8Array} data
 * @throws {FormatError}
 */
export function decodePart(machine, data) {
  const reader = new Reader(data);
  const seal = decodeNextPart(machine, reader);
  reader.end();
  return seal;
}

/**
 * The same of the next bytes; returned is what such a proof has in common with the others, and its bytes, to be decoded again: of all
 * proofs together, which may be large, no more is kept.
 */
export function readPart(machine, reader) {
  const start = reader.position;
  const { zk, shape, counts, terminals, early } = decodeNextPart(machine, reader);
  const data = reader.data.subarray(start, reader.position);
  return { zk, shape, counts: { ...counts, early: early.counts }, terminals, root: early.root, pinned: early.pinned, data };
}

function decodeNextPart(machine, reader) {
  const seal = readSeal(machine, reader, false);
  const { shape, counts } = seal, levels = shape.levels(EARLY);
  if (levels.length === 0) throw new FormatError("a proof without early columns is joined with nothing");
  const own = readCount(reader, "the early tree", shape.parameters.blowup * shape.earlyHeight, counts.salted.opened);
  const expected = DIGEST_BYTES + largeParts(shape, { ...counts, early: own }).early;
  if (reader.left < expected) throw new FormatError(`${expected} bytes of early columns must follow the proof, ${reader.left} are left`);
  const root = reader.take(DIGEST_BYTES, "early root");
  const pinned = readMatrix(reader, "pinned values", shape.pinnedCount, K_BYTES);
  return { ...seal, early: { root, pinned, ...readTree(reader, "early", levels, own, true), counts: own } };
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
  if ([PREPROCESSED, MAIN, BUS].some((tree) => shape.levels(tree).length === 0)) {
    throw new FormatError("a tree would be empty: mandatory tables are absent");
  }
  return shape;
}

/** Opened leaves, at most `largest`, and siblings of a tree with so many leaves. */
function readCount(reader, name, leaves, largest) {
  const opened = reader.integer(2, `opened leaves of ${name}`, 1, Math.min(largest, leaves));
  return { opened, siblings: reader.integer(4, `siblings of ${name}`, 0, opened * (31 - Math.clz32(leaves))) };
}

/** Opened leaves and siblings of every tree. A tree opens no more leaves than the one whose positions fold onto it. */
function readCounts(shape, reader) {
  const { blowup, queries } = shape.parameters;
  let largest = queries;
  const read = (name, height) => readCount(reader, name, blowup * height, largest);
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

function treeBytes(levels, { opened, siblings }, salted) {
  return opened * (WORD_BYTES * sum(levels.map((level) => level.width)) + (salted ? SALT_BYTES : 0)) + DIGEST_BYTES * siblings;
}

/** Bytes of the parts that are large; `counts.early` is there in a joined proof alone. */
export function largeParts(shape, { salted, preprocessed, layers, early }) {
  const [main, bus, quotient] = shape.saltedLevels().map((levels) => treeBytes(levels, salted, true));
  return {
    openings: K_BYTES * (shape.hereCount + shape.nextCount),
    preprocessed: treeBytes(shape.levels(PREPROCESSED), preprocessed, false),
    early: early === undefined ? 0 : K_BYTES * shape.pinnedCount + treeBytes(shape.levels(EARLY), early, true),
    main, bus, quotient,
    layers: sum(layers.map(({ opened, siblings }) => FOLDING * K_BYTES * opened + DIGEST_BYTES * siblings)),
  };
}

function bodyBytes(shape, counts) {
  const small = WORD_BYTES + DIGEST_BYTES * (3 + counts.layers.length) + K_BYTES * (shape.terminalCount + shape.finalLength);
  return small + sum(Object.values(largeParts(shape, counts)));
}

function readMatrix(reader, what, rows, rowBytes) {
  const result = new Matrix(reader.take(rows * rowBytes, what), rows, rowBytes);
  if (!areCanonical(result.words)) throw new FormatError(`${what}: an element is not canonical`);
  return result;
}

function readDigests(reader, what, count) {
  return splitDigests(reader.take(DIGEST_BYTES * count, what));
}

// In these functions an object's properties are evaluated in the order in which they are written: that of the bytes.
function readTree(reader, name, levels, { opened, siblings }, salted) {
  return {
    rows: levels.map(({ width }) => readMatrix(reader, `${name} rows`, opened, WORD_BYTES * width)),
    salts: salted ? readMatrix(reader, `${name} salts`, opened, SALT_BYTES) : null,
    siblings: readDigests(reader, `${name} siblings`, siblings),
  };
}

function readBody(shape, counts, reader) {
  const matrix = (what, rows, rowBytes) => readMatrix(reader, what, rows, rowBytes);
  const digests = (what, count) => readDigests(reader, what, count);
  const tree = (name, levels, own, salted) => readTree(reader, name, levels, own, salted);
  return {
    nonce: reader.take(WORD_BYTES, "nonce"),
    ...readRoots(digests),
    terminals: matrix("terminals", shape.terminalCount, K_BYTES),
    openings: matrix("openings", shape.hereCount + shape.nextCount, K_BYTES),
    friRoots: digests("FRI roots", shape.friHeights.length),
    final: matrix("final polynomial", shape.finalLength, K_BYTES),
    preprocessed: tree("preprocessed", shape.levels(PREPROCESSED), counts.preprocessed, false),
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
