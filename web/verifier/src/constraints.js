/** The constraints at the out-of-domain point zeta. */

import { demand } from "./errors.js";
import {
  add, addInto, at, basePower, cosetShift, element, equals, inverse, K_WORDS, kMulInto, mul, P, power, powers, rootOfUnity, setBase, sub,
  subInto,
} from "./field.js";
import { ACTIVE, ADD, BUS, BUS_NEXT, CONSTANT, MAIN, MUL, PAIR, PREPROCESSED, PRODUCT, RUNTIME, START, SUB, TERMINAL } from "./machine.js";
import { CHUNKS, EARLY, OPENING_ORDER, QUOTIENT_COLUMNS, sum } from "./shape.js";

/**
 * The sum of lambda^i C_i / (its vanishing polynomial) over all tables equals the quotient at zeta.
 * @param {object} shape
 * @param {object} openings
 * @param {Uint32Array[][]} terminals by table
 * @param {object} challenges alpha, beta, lambda, zeta; of a joined proof also its jointAlpha and jointBeta
 * @throws {VerificationError} OOD
 */
export function checkConstraints(shape, openings, terminals, challenges) {
  const { zeta } = challenges;
  demand(admissible(shape, zeta), "OOD", "the out-of-domain point lies in a domain");
  const combined = combinedConstraints(shape, openings, terminals, challenges);
  const quotient = quotientValue(shape, openings, zeta);
  demand(equals(combined, quotient), "OOD", "the constraints do not equal the quotient at the out-of-domain point");
  return combined;
}

/** zeta is neither in the trace domain nor in the LDE domain, whose points x have x^(B N) = s_N^(B N). */
function admissible(shape, zeta) {
  const size = shape.tallest * shape.parameters.blowup;
  const shifted = element(basePower(cosetShift(shape.tallest), BigInt(size)));
  return !equals(power(zeta, shape.tallest), element(1)) && !equals(power(zeta, size), shifted);
}

/**
 * Where each table's columns begin among the openings, by their tree: those of all tables' preprocessed columns, then early, main and bus
 * ones; after the quotient's those at the next row.
 */
function openingPlaces(shape) {
  let place = 0;
  const places = shape.tables.map(() => ({ trees: [], next: 0 }));
  for (const tree of OPENING_ORDER) {
    shape.tables.forEach(({ chip }, number) => {
      places[number].trees[tree] = place;
      place += chip.widths[tree];
    });
  }
  place += QUOTIENT_COLUMNS;
  shape.tables.forEach(({ chip }, number) => {
    places[number].next = place;
    place += chip.next.length;
  });
  return places;
}

/** A challenge and the powers of another, from the first on: runtime constants. */
function withPowers(alpha, beta, count) {
  const all = powers(beta, count + 1);
  return [alpha, ...Array.from({ length: count }, (_, k) => at(all, k + 1))];
}

function combinedConstraints(shape, openings, terminals, { alpha, beta, lambda, zeta, jointAlpha, jointBeta }) {
  const { machine, parameters, tallest } = shape;
  const inverses = new Map(shape.heights.map((height) => [height, selectors(height, parameters.exempt, power(zeta, tallest / height))]));
  const places = openingPlaces(shape);
  const joint = machine.jointPowers > 0 ? withPowers(jointAlpha, jointBeta, machine.jointPowers) : [];
  const shared = [...withPowers(alpha, beta, machine.powers), ...joint];
  let total = element(0), weight = element(1);
  shape.tables.forEach(({ chip, height }, number) => {
    const values = evaluate(chip, openings.words, places[number], runtimeConstants([...shared, ...terminals[number]]));
    const groups = [element(0), element(0), element(0)];
    for (const [node, group] of chip.code.constraints) {
      groups[group] = add(groups[group], mul(weight, at(values, node)));
      weight = mul(weight, lambda);
    }
    for (const group of [ACTIVE, START, TERMINAL]) total = add(total, mul(groups[group], inverses.get(height)[group]));
  });
  return total;
}

/** The coordinates of elements of K, each as an element of K again. */
function runtimeConstants(elements) {
  const result = new Uint32Array(3 * K_WORDS * elements.length);
  elements.forEach((value, k) => {
    for (let c = 0; c < 3; c++) result.set(value.subarray(2 * c, 2 * c + 2), K_WORDS * (3 * k + c));
  });
  return result;
}

/** 1 / (vanishing polynomial) at a point of a table's own domain for the groups active, start and terminal. */
function selectors(height, exempt, point) {
  const root = rootOfUnity(height);
  const first = basePower(root, BigInt(height - exempt));
  let numerator = element(1), row = first;
  for (let i = 0; i < exempt; i++) {
    numerator = mul(numerator, sub(point, element(row)));
    row = (row * root) % P;
  }
  const active = mul(numerator, inverse(sub(power(point, height), element(1))));
  return [active, inverse(sub(point, element(basePower(root, BigInt(height - 1))))), inverse(sub(point, element(first)))];
}

/**
 * The values of all nodes of a chip, one element of K each.
 * @param {object} chip
 * @param {Uint32Array} openings
 * @param {object} places where this table's columns begin among them
 * @param {Uint32Array} runtime
 */
function evaluate(chip, openings, places, runtime) {
  const { nodes, constants } = chip.code;
  const [preprocessed, main, bus, early] = places.trees, earlyCount = chip.widths[EARLY];
  const count = nodes.length / 3;
  const values = new Uint32Array(K_WORDS * count);
  const leaf = (node, array, place) => values.set(at(array, place), K_WORDS * node);
  for (let node = 0; node < count; node++) {
    const kind = nodes[3 * node], a = nodes[3 * node + 1], b = nodes[3 * node + 2];
    const o = K_WORDS * node;
    switch (kind) {
      case CONSTANT: setBase(values, o, constants[a]); break;
      case MAIN: leaf(node, openings, (a < earlyCount ? early : main - earlyCount) + a); break;
      case PREPROCESSED: leaf(node, openings, preprocessed + a); break;
      case BUS: leaf(node, openings, bus + a); break;
      case BUS_NEXT: leaf(node, openings, places.next + chip.next.indexOf(a)); break;
      case RUNTIME: leaf(node, runtime, a); break;
      case ADD: addInto(values, o, values, K_WORDS * a, values, K_WORDS * b); break;
      case SUB: subInto(values, o, values, K_WORDS * a, values, K_WORDS * b); break;
      case MUL: kMulInto(values, o, values, K_WORDS * a, values, K_WORDS * b); break;
      case PAIR: break; // it has no value of its own: the nodes that take triples apart read its parts
      default: tripleInto(values, o, nodes, kind, a, b);
    }
  }
  return values;
}

const scratch = element(0);

/** Coordinate `kind - PRODUCT` of a product of triples, or, from kind SCALED on, of A - v C. */
function tripleInto(values, o, nodes, kind, a, b) {
  const left = triple(nodes, a);
  if (kind >= PRODUCT + 3) {
    const coordinate = kind - PRODUCT - 3;
    const factor = nodes[3 * b + 1], other = triple(nodes, nodes[3 * b + 2])[coordinate];
    kMulInto(scratch, 0, values, K_WORDS * factor, values, K_WORDS * other);
    subInto(values, o, values, K_WORDS * left[coordinate], scratch, 0);
    return;
  }
  const right = triple(nodes, b);
  values.fill(0, o, o + K_WORDS);
  for (const [i, j] of PARTS[kind - PRODUCT]) {
    kMulInto(scratch, 0, values, K_WORDS * left[i], values, K_WORDS * right[j]);
    addInto(values, o, values, o, scratch, 0);
  }
}

/** Which coordinates of two factors are multiplied for each coordinate of the product modulo x^3 - x - 1. */
const PARTS = [
  [[0, 0], [1, 2], [2, 1]],
  [[0, 1], [1, 0], [1, 2], [2, 1], [2, 2]],
  [[0, 2], [1, 1], [2, 0], [2, 2]],
];

/** The nodes of a triple's coordinates: it is the pair of the first and the pair of the others. */
function triple(nodes, node) {
  const rest = nodes[3 * node + 2];
  return [nodes[3 * node + 1], nodes[3 * rest + 1], nodes[3 * rest + 2]];
}

/** The sum of zeta^(k M) (q_k0 + q_k1 x + q_k2 x^2) over the chunks, M their length and x the root of the extension. */
function quotientValue(shape, openings, zeta) {
  const first = sum(shape.tables.map(({ chip }) => sum(chip.widths)));
  const step = power(zeta, shape.chunkLength);
  let value = element(0), scale = element(1);
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    for (let c = 0; c < 3; c++) {
      const basis = element(...[0, 1, 2].map((place) => (place === c ? 1 : 0)));
      value = add(value, mul(scale, mul(basis, at(openings.words, first + 3 * chunk + c))));
    }
    scale = mul(scale, step);
  }
  return value;
}
