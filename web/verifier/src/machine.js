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
  constructor(name, widths, mandatory, facts) {
    this.name = name;
    /** Base columns: preprocessed, main, bus. */
    this.widths = widths;
    this.mandatory = mandatory;
    /** Bus columns that run, in order; the last of them is a sum if `hasSum`, the others are products. */
    this.running = facts["running columns"];
    this.hasSum = facts["last one is a sum"];
    /** Base bus columns that are opened at the next row. */
    this.next = facts["opened at the next row"];
    /** Fingerprints of a row. */
    this.interactions = facts.interactions;
    /** Of every node kind, A and B, in one array once the text is read; a constant's A is its place in `constants`. */
    this.nodes = [];
    this.constants = [];
    /** Of every constraint: its node, and the group. */
    this.constraints = [];
  }
}

/**
 * A machine from its text.
 * @param {string} text whose BLAKE3 is the digest, as docs/protocol.md describes it
 * @param {object} facts by the name of a chip: what the text does not say outright
 * @param {number} maxRows the heights of all tables together stay below it
 */
export function readMachine(text, facts, maxRows) {
  const machine = { name: "", digest: blake3(ascii(text)), buses: [], chips: [], maxRows };
  const [name, ...lines] = text.split("\n");
  machine.name = name;
  for (const line of lines) readLine(machine, line, facts);
  for (const chip of machine.chips) chip.nodes = Int32Array.from(chip.nodes);
  /** Most values in a tuple, and the largest power of beta in a coefficient of a sum. */
  machine.arity = Math.max(0, ...machine.buses.map((bus) => bus.arity));
  machine.largestPower = Math.max(0, ...machine.buses.map((bus) => bus.power));
  /** How many powers of beta stand before a table's terminals among the runtime constants. */
  machine.powers = Math.max(machine.arity, machine.largestPower);
  return machine;
}

function readLine(machine, line, facts) {
  const words = line.split(" ");
  if (words[0] === "bus") machine.buses.push(readBus(words));
  else if (words[0] === "chip") {
    const [, name, preprocessed, main, bus, mandatory] = words;
    machine.chips.push(new Chip(name, [preprocessed, main, bus].map(Number), mandatory === "True", facts[name]));
  } else {
    const chip = machine.chips[machine.chips.length - 1];
    if (words.length === NODE_FIELDS) addNode(chip, words);
    else chip.constraints.push(words.map(Number));
  }
}

/** The name may have spaces; the power is only there for sums. */
function readBus(words) {
  const power = words[words.length - 2] === "sum" ? Number(words.pop()) : 0;
  const argument = words.pop();
  const arity = Number(words.pop());
  return { id: Number(words[1]), name: words.slice(2).join(" "), arity, argument, power };
}

function addNode(chip, words) {
  const kind = Number(words[0]);
  if (kind === CONSTANT) {
    chip.nodes.push(kind, chip.constants.length, 0);
    chip.constants.push(mod(BigInt(words[1])));
  } else chip.nodes.push(kind, Number(words[1]), Number(words[2]));
}
