/** The machine: its chips, buses and constraints, read from the text whose BLAKE3 is its digest. */

import { blake3 } from "./blake3.js";
import { ascii } from "./bytes.js";
import { mod } from "./field.js";

export const CONSTANT = 0, MAIN = 1, PREPROCESSED = 2, BUS = 3, BUS_NEXT = 4, RUNTIME = 5;
export const ADD = 6, SUB = 7, MUL = 8, PAIR = 9, PRODUCT = 10, SCALED = 13;
export const ACTIVE = 0, START = 1, TERMINAL = 2;
const NODE_FIELDS = 3;

/**
 * A bus: `argument` is "product", "logup" or "sum"; a `joint` one balances over several proofs.
 * @typedef {{id: number, name: string, arity: number, argument: string, power: number, joint: boolean}} Bus
 */

/** A chip: its columns and its constraints as nodes that refer to earlier ones. */
class Chip {
  /**
   * @param {string} header `NAME PREPROCESSED MAIN BUS MANDATORY [EARLY]`
   * @param {string[]} lines its nodes, then its constraints
   * @param {object} facts what the text does not say
   */
  constructor(header, lines, facts) {
    const [name, preprocessed, main, bus, mandatory, early = "0"] = header.split(" ");
    this.name = name;
    /** Base columns by their tree: preprocessed, main without early ones, bus, early. */
    this.widths = [Number(preprocessed), Number(main) - Number(early), Number(bus), Number(early)];
    this.mandatory = mandatory === "True";
    this.lines = lines;
    this.known = null;
    const own = facts[name];
    /** Bus columns that run, in order: products of joint buses, other products, and last a sum if `hasSum`. */
    this.running = own["running columns"];
    this.hasSum = own["last one is a sum"];
    /** How many running columns are of joint buses, and how many pairs of their tuples a row has. */
    this.joint = own.joint ?? 0;
    this.jointPairs = own["joint pairs"] ?? 0;
    /** Base bus columns that are opened at the next row. */
    this.next = own["opened at the next row"];
    /** Fingerprints of a row. */
    this.interactions = own.interactions;
    /** Whether its rows are instructions. */
    this.instructions = own.instructions ?? false;
    /** Ids of the buses on which it speaks, for pictures. */
    this.buses = own.buses;
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

/** The name may have spaces; the power is only there for sums, the last word for joint buses. */
function readBus(line) {
  const words = line.split(" ");
  const joint = words[words.length - 1] === "joint" && words.pop() === "joint";
  const power = words[words.length - 2] === "sum" ? Number(words.pop()) : 0;
  const argument = words.pop();
  const arity = Number(words.pop());
  return { id: Number(words[1]), name: words.slice(2).join(" "), arity, argument, power, joint };
}

/** How many powers of a challenge the tuples of buses need: the most values in one, or the largest power of a sum. */
function powersOf(buses) {
  return Math.max(0, ...buses.map((bus) => Math.max(bus.arity, bus.power)));
}

/**
 * A machine from its text, in which a chip's lines may be `same NAME`, those of a chip before it, or `moved NAME`, those of a chip of
 * `whole`, whose terminals begin at another runtime constant.
 * @param {object} data
 * @param {string} data.text in full it has the digest's bytes, as docs/protocol.md describes it
 * @param {object} data.facts by the name of a chip: what the text does not say outright
 * @param {number} data.maxRows the heights of all tables together stay below it
 * @param {object} [whole] another machine
 */
export function readMachine({ text, facts, maxRows }, whole = null) {
  const [head, ...parts] = text.split("\nchip ");
  const [name, ...busLines] = head.split("\n");
  const buses = busLines.map(readBus);
  /** How many powers of beta, and of the joint beta, are runtime constants; terminals follow all of these. */
  const powers = powersOf(buses), jointPowers = powersOf(buses.filter((bus) => bus.joint));
  const firstTerminal = 3 * (powers + 1) + (jointPowers > 0 ? 3 * (jointPowers + 1) : 0);
  const known = { ...whole?.facts, ...facts };
  const linesOf = new Map();
  const chips = parts.map((part) => {
    const [header, ...written] = part.split("\n");
    const own = header.slice(0, header.indexOf(" "));
    const [, way, other] = /^(same|moved) (\w+)$/.exec(written[0] ?? "") ?? [];
    const lines = way === undefined ? written : way === "same" ? linesOf.get(other) : moved(whole, other, firstTerminal);
    linesOf.set(own, lines);
    return new Chip(header, lines, known);
  });
  const full = [head, ...parts.map((part, k) => [part.split("\n", 1)[0], ...chips[k].lines].join("\n"))].join("\nchip ");
  return {
    name, digest: blake3(ascii(full)), buses, chips, maxRows, facts, powers, jointPowers, firstTerminal,
    /** Most values in a tuple, and the largest power of beta in a coefficient of a sum. */
    arity: Math.max(0, ...buses.map((bus) => bus.arity)),
    largestPower: Math.max(0, ...buses.map((bus) => bus.power)),
  };
}

/** The lines of a chip of another machine, whose terminals begin at another runtime constant. */
function moved(machine, name, firstTerminal) {
  return machine.chips.find((chip) => chip.name === name).lines.map((line) => {
    const [kind, place, last] = line.split(" ", NODE_FIELDS);
    const isTerminal = kind === String(RUNTIME) && last !== undefined && Number(place) >= machine.firstTerminal;
    return isTerminal ? `${kind} ${Number(place) - machine.firstTerminal + firstTerminal} ${last}` : line;
  });
}
