/** The machine: its chips, buses and constraints, read from the text whose BLAKE3 is its digest. */

import { blake3 } from "./blake3.js";
import { ascii } from "./bytes.js";
import { mod } from "./field.js";

export const CONSTANT = 0, MAIN = 1, PREPROCESSED = 2, BUS = 3, BUS_NEXT = 4, RUNTIME = 5;
export const ADD = 6, SUB = 7, MUL = 8, PAIR = 9, PRODUCT = 10, SCALED = 13;
export const ACTIVE = 0, START = 1, TERMINAL = 2;
const NODE_FIELDS = 3;

/**
 * A bus: `argument` is "product", "logup" or "sum".
 * @typedef {{id: number, name: string, arity: number, argument: string, power: number}} Bus
 */

/** A chip: its columns and its constraints as nodes that refer to earlier ones. */
class Chip {
  /**
   * @param {string} header `NAME PREPROCESSED MAIN BUS MANDATORY`
   * @param {string[]} lines its nodes, then its constraints
   * @param {object} facts what the text does not say
   */
  constructor(header, lines, facts) {
    const [name, preprocessed, main, bus, mandatory] = header.split(" ");
    this.name = name;
    /** Base columns: preprocessed, main, bus. */
    this.widths = [preprocessed, main, bus].map(Number);
    this.mandatory = mandatory === "True";
    this.lines = lines;
    this.known = null;
    const own = facts[name];
    /** Bus columns that run, in order; the last of them is a sum if `hasSum`, the others are products. */
    this.running = own["running columns"];
    this.hasSum = own["last one is a sum"];
    /** Base bus columns that are opened at the next row. */
    this.next = own["opened at the next row"];
    /** Fingerprints of a row. */
    this.interactions = own.interactions;
  }

  /**
   * Of every node kind, A and B, in one array; the constants, of which a node's A is the place of its own; of every constraint its node
   * and its group. Read when a proof has the table: most have a third of all.
   */
  get code() {
    this.known ??= readCode(this.lines);
    return this.known;
  }
}

function readCode(lines) {
  const nodes = [], constants = [], constraints = [];
  for (const line of lines) {
    const words = line.split(" ");
    if (words.length < NODE_FIELDS) constraints.push(words.map(Number));
    else if (Number(words[0]) === CONSTANT) {
      nodes.push(CONSTANT, constants.length, 0);
      constants.push(mod(BigInt(words[1])));
    } else nodes.push(...words.map(Number));
  }
  return { nodes: Int32Array.from(nodes), constants, constraints };
}

/** The name may have spaces; the power is only there for sums. */
function readBus(line) {
  const words = line.split(" ");
  const power = words[words.length - 2] === "sum" ? Number(words.pop()) : 0;
  const argument = words.pop();
  const arity = Number(words.pop());
  return { id: Number(words[1]), name: words.slice(2).join(" "), arity, argument, power };
}

/**
 * A machine from its text.
 * @param {string} text whose BLAKE3 is the digest, as docs/protocol.md describes it
 * @param {object} facts by the name of a chip: what the text does not say outright
 * @param {number} maxRows the heights of all tables together stay below it
 */
export function readMachine(text, facts, maxRows) {
  const [head, ...parts] = text.split("\nchip ");
  const [name, ...lines] = head.split("\n");
  const buses = lines.map(readBus);
  const chips = parts.map((part) => {
    const [header, ...own] = part.split("\n");
    return new Chip(header, own, facts);
  });
  /** Most values in a tuple, and the largest power of beta in a coefficient of a sum. */
  const arity = Math.max(0, ...buses.map((bus) => bus.arity));
  const largestPower = Math.max(0, ...buses.map((bus) => bus.power));
  /** How many powers of beta stand before a table's terminals among the runtime constants. */
  const powers = Math.max(arity, largestPower);
  return { name, digest: blake3(ascii(text)), buses, chips, maxRows, arity, largestPower, powers };
}
