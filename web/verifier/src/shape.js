/** Everything about a proof that follows from the machine, the parameters and the heights. */

import { FINAL_COEFFICIENTS, FOLDING } from "./parameters.js";

export const CHUNKS = 3;
export const QUOTIENT_COLUMNS = 9;
export const MASK_COLUMNS = 3;

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

  /** (height, width) of each level of the preprocessed (0), main (1) or bus (2) tree, short to tall, without empty ones. */
  levels(phase) {
    const widths = this.heights.map((height) => ({
      height,
      width: sum(this.tables.filter((table) => table.height === height).map((table) => table.chip.widths[phase])),
    }));
    return widths.filter(({ width }) => width > 0);
  }

  /** Levels of the main, bus and quotient trees, whose leaves lie on the largest domain. */
  saltedLevels() {
    return [this.levels(1), this.levels(2), [{ height: this.tallest, width: QUOTIENT_COLUMNS + MASK_COLUMNS }]];
  }

  /** Height of the preprocessed tree's tallest table, which is that of the tree. */
  get preprocessedHeight() {
    const levels = this.levels(0);
    return levels[levels.length - 1].height;
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

  /** Columns that are opened at zeta, and those of them that are opened at the next row, too. */
  get hereCount() {
    return sum(this.tables.map((table) => sum(table.chip.widths))) + QUOTIENT_COLUMNS;
  }

  get nextCount() {
    return sum(this.tables.map((table) => table.chip.next.length));
  }
}

/** Where positions (j N + K) of the largest domain lie on a smaller one (j n + K mod n): each once, ascending. */
export function positionsOn(positions, tallest, height) {
  const places = positions.map((position) => placeOn(position, tallest, height));
  return [...new Set(places)].sort((a, b) => a - b);
}

export function placeOn(position, tallest, height) {
  return Math.floor(position / tallest) * height + (position % height);
}
