/** Proofs that are joined, verifier's side: the early columns of all of them, the joint challenges, then each proof by itself. */

import { checkJointBuses, terminalsByTable } from "./buses.js";
import { demand, VerificationError } from "./errors.js";
import { basePower, cosetShift, element, equals, mul, power, sub } from "./field.js";
import { rootOf } from "./merkle.js";
import { checkBits, LOG_MAX_HEIGHT, PROTOCOL_VERSION } from "./parameters.js";
import { decodePart } from "./seal.js";
import { joinedBits } from "./security.js";
import { EARLY, sum } from "./shape.js";
import { closingTuples } from "./statement.js";
import { Transcript } from "./transcript.js";
import { checkShape, verifySeal } from "./verify.js";

export const EARLY_DOMAIN = "zkvm early columns", JOINT_DOMAIN = "zkvm joint", PART_DOMAIN = "zkvm part";
const MAX_HEIGHT = 2 ** LOG_MAX_HEIGHT;
const NO_DIGEST = new Uint8Array(32);

/**
 * Accept or refuse proofs that are joined. The letters are those of docs/protocol.md.
 * @param {object} statement what they are about together: fields, and the verifier's tuples on the joint buses
 * @param {object[]} parts the statement of each, in the order of their numbers, from 0 on
 * @param {object[]} proofs of readPart: the proof of each
 * @param {{minSecurity: number, regime: string}} policy
 * @param {(phase: string, share: number) => void} progress
 * @param {(domain: string) => Transcript} begin for tests that watch or replay transcripts
 * @throws {VerificationError} with the reason of the first check that fails
 */
export function verifyJoint(statement, parts, proofs, policy, progress, begin = (domain) => new Transcript(domain)) {
  const shapes = proofs.map((own) => own.shape);
  // a ----- shapes and policy of all proofs, before any arithmetic
  progress("joint buses", 0);
  checkParts(parts, proofs);
  checkSecurity(shapes, parts, statement, policy);
  // b ----- early columns: each tree is pinned, then all enter the joint challenges
  const pinned = proofs.map((own, number) => pinOf(own, number, parts[number], begin(EARLY_DOMAIN)));
  const joint = jointChallenges(statement, proofs[0], pinned.map(({ digest }) => digest), begin(JOINT_DOMAIN));
  // c ----- the joint buses must close over all proofs
  const terminals = proofs.map((own) => terminalsByTable(own.shape, own.terminals));
  checkJointBuses(shapes, terminals, proofs[proofs.length - 1].shape.machine.buses, statement.closings, joint.alpha, joint.beta);
  // d ----- each proof by itself; it is read again, so that memory holds one at a time
  const total = sum(proofs.map((own) => own.data.length));
  let done = 0;
  proofs.forEach(({ shape, data }, number) => {
    const name = partName(number, proofs.length), first = done;
    done += data.length;
    const joined = {
      number, digest: joint.digest, beta: joint.beta,
      alpha: sub(joint.alpha, mul(element(number), joint.beta)),
      pin: power(pinned[number].point, MAX_HEIGHT / shape.tallest),
    };
    verifySeal(shape.machine, parts[number], decodePart(shape.machine, data), policy, {
      joined, transcript: begin(PART_DOMAIN),
      progress: (phase, share) => phase !== "" && progress(`${name}: ${phase}`, (first + share * data.length) / total),
    });
  });
  progress("", 1);
}

/** What readers call a part of a run in segments; part 0 is its memory. */
export function partName(number, count) {
  return number === 0 ? "memory" : `segment ${number} of ${count - 1}`;
}

/** Everything about the proofs that can be checked before any arithmetic: SHAPE. */
function checkParts(parts, proofs) {
  const [{ shape: { parameters }, zk }] = proofs;
  proofs.forEach((own, number) => {
    checkShape(own.shape.machine, parts[number], own.shape);
    demand(own.shape.parameters === parameters && own.zk === zk, "SHAPE", "the parts have different parameters or zk flags");
  });
}

/** The proofs together have the bits that their parameter set claims, and those that the caller demands: POLICY. */
function checkSecurity(shapes, parts, statement, { minSecurity, regime }) {
  const bits = (name) => joinedBits(shapes, parts.map(closingTuples), closingTuples(statement), name);
  const proven = bits("best"), claimed = shapes[0].parameters.bits;
  if (proven < claimed) {
    throw new VerificationError("POLICY", `${proven.toFixed(1)} proven bits for these shapes, but their parameters claim ${claimed}`);
  }
  checkBits(bits(regime), minSecurity, regime);
}

function absorbParameters(transcript, { blowup, queries, exempt }) {
  transcript.absorbInteger("protocol version", PROTOCOL_VERSION);
  transcript.absorbInteger("blowup", blowup);
  transcript.absorbInteger("queries", queries);
  transcript.absorbInteger("exempt rows", exempt);
}

/** Where the early columns of a proof are pinned, for tables of the largest height, and what stands for it in the joint challenges. */
function pinOf({ shape, root, pinned }, number, { fields }, transcript) {
  const { machine, parameters, logs } = shape;
  absorbParameters(transcript, parameters);
  transcript.absorbBytes("machine digest", machine.digest);
  transcript.absorbInteger("number", number);
  transcript.absorbBytes("early log heights", Uint8Array.from(logs.filter((_, k) => machine.chips[k].widths[EARLY] > 0)));
  transcript.absorbBytes("early root", root);
  const point = transcript.drawElement("pin");
  checkPin(parameters.blowup, point);
  transcript.absorbElements("pinned", pinned.bytes);
  for (const [label, bytes] of fields) transcript.absorbBytes(label, bytes);
  return { point, digest: transcript.state };
}

/** A point whose powers, where tables of any height are opened, could lie in a domain is refused: OOD. */
function checkPin(blowup, point) {
  const size = blowup * MAX_HEIGHT;
  const shifted = element(basePower(cosetShift(MAX_HEIGHT), BigInt(size)));
  const outside = !equals(power(point, MAX_HEIGHT), element(1)) && !equals(power(point, size), shifted);
  demand(outside, "OOD", "the point that pins the early columns lies in a domain");
}

/** The challenges that all proofs share, from everything that is public and the early columns of each. */
function jointChallenges({ fields }, { shape, zk }, digests, transcript) {
  absorbParameters(transcript, shape.parameters);
  transcript.absorbInteger("zk", zk ? 1 : 0);
  for (const [label, bytes] of fields) transcript.absorbBytes(label, bytes);
  transcript.absorbInteger("number of parts", digests.length);
  transcript.absorbBytes("root of the parts", partsRoot(digests));
  const alpha = transcript.drawElement("joint alpha"), beta = transcript.drawElement("joint beta");
  return { digest: transcript.state, alpha, beta };
}

/** Root of the tree over the digests, zeros up to the next power of two. */
function partsRoot(digests) {
  let count = 1;
  while (count < digests.length) count *= 2;
  const leaves = Array.from({ length: count }, (_, k) => digests[k] ?? NO_DIGEST);
  return rootOf(count, [...leaves.keys()], leaves, []);
}
