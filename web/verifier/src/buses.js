/** The buses close: what all tables left open, with the verifier's own tuples, is nothing. */

import { demand } from "./errors.js";
import { add, addInto, at, element, equals, inverse, isZero, K_WORDS, kMulInto, mul, powers, scaleInto, sub, subInto } from "./field.js";

/** Tuples that are worked on at once: a long journal takes time, but no memory beyond it. */
const BLOCK = 1 << 12;

/** Terminals of each table, as elements of K. */
export function terminalsByTable(shape, terminals) {
  let first = 0;
  return shape.tables.map(({ chip }) => {
    const own = chip.running.map((_, k) => at(terminals.words, first + k));
    first += own.length;
    return own;
  });
}

/**
 * The product of all product terminals and of what the verifier sends is what it receives; all sums cancel. Terminals of joint buses are
 * left to `checkJointBuses`.
 * @throws {VerificationError} BUS; a zero factor is refused, not divided by
 */
export function checkBuses(shape, terminals, closings, alpha, beta, progress = () => {}) {
  let product = element(1), received = element(1), total = element(0);
  shape.tables.forEach(({ chip }, number) => {
    terminals[number].forEach((terminal, rank) => {
      if (chip.hasSum && rank === chip.running.length - 1) total = add(total, terminal);
      else if (rank >= chip.joint) product = mul(product, terminal);
    });
  });
  for (const closing of closings) {
    const bus = shape.machine.buses.find(({ id }) => id === closing.bus);
    for (let first = 0; first < closing.count; first += BLOCK) {
      progress(first / closing.count);
      const prints = fingerprints(bus, closing, first, Math.min(first + BLOCK, closing.count), alpha, beta);
      const { above, below } = combined(prints);
      demand(!isZero(below), "BUS", `a closing factor of bus ${bus.name} is zero`);
      if (bus.argument === "product") {
        if (closing.sent) product = mul(product, below);
        else received = mul(received, below);
      } else {
        const fractions = mul(above, inverse(below));
        total = closing.sent ? sub(total, fractions) : add(total, fractions);
      }
    }
  }
  demand(!isZero(product), "BUS", "a product terminal is zero");
  demand(equals(product, received), "BUS", "the grand product does not close");
  demand(isZero(total), "BUS", "the lookup sums do not cancel");
}

/**
 * The product of the terminals of the joint buses of all proofs, and of what the verifier sends on them, is what it receives.
 * @throws {VerificationError} BUS; a zero factor is refused
 */
export function checkJointBuses(shapes, terminals, buses, closings, alpha, beta) {
  let product = element(1), received = element(1);
  shapes.forEach((shape, part) => {
    shape.tables.forEach(({ chip }, number) => {
      for (const terminal of terminals[part][number].slice(0, chip.joint)) product = mul(product, terminal);
    });
  });
  for (const closing of closings) {
    const bus = buses.find(({ id }) => id === closing.bus);
    const { below } = combined(fingerprints(bus, closing, 0, closing.count, alpha, beta));
    if (closing.sent) product = mul(product, below);
    else received = mul(received, below);
  }
  demand(!isZero(product) && !isZero(received), "BUS", "a terminal or closing factor of a joint bus is zero");
  demand(equals(product, received), "BUS", "the joint buses do not close");
}

/** alpha - (id + beta x_1 + beta^2 x_2 + ...) for some of the verifier's tuples. */
function fingerprints(bus, closing, first, end, alpha, beta) {
  const start = sub(alpha, element(bus.id));
  const coefficients = powers(beta, bus.arity + 1);
  const result = new Uint32Array(K_WORDS * (end - first));
  const value = new Uint32Array(2), scaled = element(0);
  for (let k = first; k < end; k++) {
    const o = K_WORDS * (k - first);
    result.set(start, o);
    const words = closing.words(k);
    for (let place = 0; place < bus.arity; place++) {
      value[0] = words[2 * place];
      value[1] = words[2 * place + 1];
      scaleInto(scaled, 0, value, 0, coefficients, K_WORDS * (place + 1));
      subInto(result, o, result, o, scaled, 0);
    }
  }
  return result;
}

/** The sum of 1 / v over some elements as one fraction: `below` is their product. */
function combined(elements) {
  const above = element(0), below = element(1), crossed = element(0);
  for (let i = 0; i < elements.length; i += K_WORDS) {
    kMulInto(crossed, 0, above, 0, elements, i);
    addInto(above, 0, crossed, 0, below, 0);
    kMulInto(below, 0, below, 0, elements, i);
  }
  return { above, below };
}
