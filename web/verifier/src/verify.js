/** The protocol, verifier's side. The numbers are those of docs/protocol.md. */

import { checkBuses, terminalsByTable } from "./buses.js";
import { checkConstraints } from "./constraints.js";
import { demand, VerificationError } from "./errors.js";
import { batchedValues, checkCounts, checkFolds, checkTrees } from "./fri.js";
import { checkBits, PROTOCOL_VERSION } from "./parameters.js";
import { provenBits } from "./security.js";
import { sum } from "./shape.js";
import { closingTuples } from "./statement.js";
import { Transcript } from "./transcript.js";

export const DOMAIN = "zkvm proof";
const GRINDING = "query grinding";

/**
 * Accept a decoded seal as a proof of a statement, or refuse it.
 * @param {object} machine
 * @param {object} statement
 * @param {object} seal
 * @param {{minSecurity: number, regime: string}} policy
 * @param {object} [more]
 * @param {(phase: string, share: number) => void} [more.progress]
 * @param {object} [more.joined] of a proof that is joined with others, what it has from them: its number, their digest, its joint alpha and
 * beta, and the pin of its early columns
 * @param {Transcript} [more.transcript] for tests that replay challenges
 * @returns {object} values on the way, which the tests compare with the vectors
 * @throws {VerificationError} with the reason of the first check that fails
 */
export function verifySeal(machine, statement, seal, policy, more = {}) {
  const { progress = () => {}, joined = null, transcript = new Transcript(DOMAIN) } = more, { shape } = seal;
  // 0 ----- shape and policy, before any arithmetic; then everything public enters the transcript
  progress("statement", 0);
  checkShape(machine, statement, shape);
  checkSecurity(shape, statement, policy);
  if (joined !== null) {
    transcript.absorbBytes("joint digest", joined.digest);
    transcript.absorbInteger("number", joined.number);
  }
  absorbStatement(transcript, machine, statement, seal);
  // 1 ----- main columns
  transcript.absorbBytes("main root", seal.mainRoot);
  const alpha = transcript.drawElement("alpha"), beta = transcript.drawElement("beta");
  // 2 ----- bus columns and terminals: the buses must close
  transcript.absorbBytes("bus root", seal.busRoot);
  transcript.absorbElements("terminals", seal.terminals.bytes);
  const lambda = transcript.drawElement("constraint challenge");
  const terminals = terminalsByTable(shape, seal.terminals);
  checkBuses(shape, terminals, statement.closings, alpha, beta, within(progress, "buses", 0.05, 0.25));
  // 3 ----- quotient chunks and mask
  transcript.absorbBytes("quotient and mask root", seal.quotientRoot);
  const zeta = transcript.drawElement("zeta");
  // 4 ----- openings: the constraints must hold at zeta
  progress("constraints", 0.25);
  transcript.absorbElements("openings", seal.openings.bytes);
  const gamma = transcript.drawElement("batching challenge");
  const combined = checkConstraints(shape, seal.openings, terminals, {
    alpha, beta, lambda, zeta, jointAlpha: joined?.alpha, jointBeta: joined?.beta,
  });
  // 5 ----- FRI layers
  const folding = seal.friRoots.map((root, number) => {
    transcript.absorbBytes(`fri root ${number}`, root);
    return transcript.drawElement(`folding challenge ${number}`);
  });
  // 6 ----- final polynomial
  transcript.absorbElements("final polynomial", seal.final.bytes);
  // 7 ----- proof of work, query positions
  transcript.checkWork(GRINDING, seal.nonce);
  const { queries, blowup } = shape.parameters;
  const drawn = transcript.drawPositions("query positions", queries, blowup * shape.tallest);
  const positions = [...new Set(drawn)].sort((a, b) => a - b);
  // 8 ----- openings at the positions: shape, Merkle paths, batched values, folds
  const opened = { ...seal, preprocessedRoot: statement.preprocessedRoot };
  checkCounts(shape, opened, positions);
  checkTrees(shape, opened, positions, within(progress, "trees", 0.4, 0.8));
  progress("low degree", 0.8);
  const batched = batchedValues(shape, opened, positions, { zeta, gamma, pin: joined?.pin });
  const folded = checkFolds(shape, opened, positions, batched, folding);
  progress("", 1);
  return { positions, combined, batched, folded };
}

/** Reports a share of one phase as a share of the whole. */
function within(progress, phase, from, to) {
  return (share) => progress(phase, from + (to - from) * share);
}

/** Which tables are present, and the heights that machine and statement fix: SHAPE. */
export function checkShape(machine, statement, shape) {
  machine.chips.forEach(({ name, mandatory }, number) => {
    const log = shape.logs[number], fixed = statement.fixedLogs[number];
    demand(!mandatory || log > 0, "SHAPE", `mandatory table ${name} is absent`);
    demand(fixed === null || log === fixed, "SHAPE", `table ${name}: height 2^${log} is not what the image fixes`);
  });
  const rows = sum(shape.tables.map((table) => table.height));
  demand(rows < machine.maxRows, "SHAPE", "too many rows for this machine: its times could wrap");
}

/** The shape has the bits that its parameter set claims, and those that the caller demands under the caller's regime: POLICY. */
function checkSecurity(shape, statement, { minSecurity, regime }) {
  const tuples = closingTuples(statement);
  const bits = provenBits(shape, tuples, "best"), claimed = shape.parameters.bits;
  if (bits < claimed) {
    throw new VerificationError("POLICY", `${bits.toFixed(1)} proven bits for this shape, but its parameters claim ${claimed}`);
  }
  checkBits(provenBits(shape, tuples, regime), minSecurity, regime);
}

/** Round 0 of the transcript. */
function absorbStatement(transcript, machine, statement, { shape, zk }) {
  const { blowup, queries, exempt } = shape.parameters;
  transcript.absorbInteger("protocol version", PROTOCOL_VERSION);
  transcript.absorbInteger("blowup", blowup);
  transcript.absorbInteger("queries", queries);
  transcript.absorbInteger("exempt rows", exempt);
  transcript.absorbInteger("zk", zk ? 1 : 0);
  transcript.absorbBytes("machine digest", machine.digest);
  for (const [label, bytes] of statement.fields) transcript.absorbBytes(label, bytes);
  transcript.absorbBytes("preprocessed root", statement.preprocessedRoot);
  transcript.absorbBytes("log heights", Uint8Array.from(shape.logs));
}
