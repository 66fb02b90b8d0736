/** Everything about a proof that follows from the machine, the parameters and the heights. */

import { FINAL_COEFFICIENTS, FOLDING } from "./parameters.js";

export const CHUNKS = 3;
export const QUOTIENT_COLUMNS = 9;
export const MASK_COLUMNS = 3;
/** Trees that hold the tables; only machines with joint buses have early columns. */
export const PREPROCESSED = 0, MAIN = 1, BUS = 2, EARLY = 3;
/** Of their columns among the openings. */
export const OPENING_ORDER = [PREPROCESSED, EARLY, MAIN, BUS];

export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** Sizes of a proof. Tables are ordered by height, then by their place in the machine. */
export class Shape {
  /**
   * @param {object} machine
   * @param {object} parameters a known set
   * @param {ArrayLike<number>} logs for each chip log2 of its table's height, 0 for an absent one; at least one is there
   */
  constructor(machine, parameters, logs) {
    this.machine = machine;
    this.parameters = parameters;
    this.logs = Array.from(logs);
    this.tables = machine.chips.flatMap((chip, number) => (logs[number] > 0 ? [{ number, chip, height: 2 ** logs[number] }] : []));
    this.tables.sort((a, b) => a.height - b.height || a.number - b.number);
    this.tallest = this.tables[this.tables.length - 1].height;
    this.heights = [...new Set(this.tables.map((table) => table.height))];
    this.friHeights = [];
    for (let height = this.tallest; height > FINAL_COEFFICIENTS; height /= FOLDING) this.friHeights.push(height);
    this.finalLength = this.friHeights[this.friHeights.length - 1] / FOLDING;
    this.chunkLength = this.tallest - (parameters.queries + 4);
  }

  /** (height, width) of each level of a tree, short to tall, without empty ones. */
  levels(tree) {
    const widths = this.heights.map((height) => ({
      height,
      width: sum(this.tables.filter((table) => table.height === height).map((table) => table.chip.widths[tree])),
    }));
    return widths.filter(({ width }) => width > 0);
  }

  /** Levels of the main, bus and quotient trees, whose leaves lie on the largest domain. */
  saltedLevels() {
    return [this.levels(MAIN), this.levels(BUS), [{ height: this.tallest, width: QUOTIENT_COLUMNS + MASK_COLUMNS }]];
  }

  /** Height of the preprocessed tree's tallest table, which is that of the tree. */
  get preprocessedHeight() {
    return tallestOf(this.levels(PREPROCESSED));
  }

  /** The same of the tree of early columns. */
  get earlyHeight() {
    return tallestOf(this.levels(EARLY));
  }

  /** Early columns, whose values at a point of their own are known before the joint challenges. */
  get pinnedCount() {
    return sum(this.tables.map((table) => table.chip.widths[EARLY]));
  }

  /** Columns among the openings before those of a tree. */
  firstOf(tree) {
    const before = OPENING_ORDER.slice(0, OPENING_ORDER.indexOf(tree));
    return sum(this.tables.map(({ chip }) => sum(before.map((other) => chip.widths[other]))));
  }

  get terminalCount() {
    return sum(this.tables.map((table) => table.chip.running.length));
  }

  get constraintCount() {
    return sum(this.tables.map((table) => table.chip.code.constraints.length));
  }

  /** Fingerprints over all rows. */
  get interactions() {
    return sum(this.tables.map((table) => table.height * table.chip.interactions));
  }

  /** Rows of instructions, padding included. */
  get instructionRows() {
    return sum(this.tables.filter((table) => table.chip.instructions).map((table) => table.height));
  }

  /** Columns that are opened at zeta, and those of them that are opened at the next row, too. */
  get hereCount() {
    return sum(this.tables.map((table) => sum(table.chip.widths))) + QUOTIENT_COLUMNS;
  }

  get nextCount() {
    return sum(this.tables.map((table) => table.chip.next.length));
  }
}

function tallestOf(levels) {
  return levels[levels.length - 1].height;
}

/** Where positions (j N + K) of the largest domain lie on a smaller one (j n + K mod n): each once, ascending. */
export function positionsOn(positions, tallest, height) {
  const places = positions.map((position) => placeOn(position, tallest, height));
  return [...new Set(places)].sort((a, b) => a - b);
}

export function placeOn(position, tallest, height) {
  return Math.floor(position / tallest) * height + (position % height);
}
