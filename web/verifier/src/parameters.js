/** Numbers of the protocol, and what a verifier accepts. */

import { UsageError, VerificationError } from "./errors.js";

export const PROTOCOL_VERSION = 1;
export const FOLDING = 8;
export const FINAL_COEFFICIENTS = 64;
export const GRINDING_BITS = 20;
export const LOG_MIN_HEIGHT = 9;
export const LOG_MIN_TALLEST = 15;
export const LOG_MAX_HEIGHT = 24;
export const BLOWUPS = [2, 4, 8];
export const DEFAULT_DEMAND = 100;
export const DEFAULT_SEGMENTS = 2 ** 12;
export const REGIMES = Object.freeze(["best", "bciks20", "unique"]);

/** The six known sets; a proof cannot bring others. */
const SETS = [
  ["fast", 2, 164, 336, 100],
  ["balanced", 4, 83, 174, 100],
  ["compact", 8, 56, 120, 100],
  ["fast", 2, 230, 468, 128],
  ["balanced", 4, 113, 234, 128],
  ["compact", 8, 76, 160, 128],
].map(([name, blowup, queries, exempt, bits]) => Object.freeze({ name, blowup, queries, exempt, bits }));

/** Exempt rows for which every table with preprocessed columns has room. */
export const MAX_EXEMPT = Math.max(...SETS.map(({ exempt }) => exempt));

/** The known set with these numbers, or undefined. */
export function knownSet(blowup, queries, exempt) {
  return SETS.find((set) => set.blowup === blowup && set.queries === queries && set.exempt === exempt);
}

/** A regime that is misspelt must not become a weaker demand. */
export function checkRegime(regime) {
  if (!REGIMES.includes(regime)) throw new UsageError(`no regime '${regime}': choose one of ${REGIMES.join(", ")}`);
}

/** Whether a proof with so many proven bits is enough: a demand that is no number is not met. */
export function checkBits(bits, demanded, regime) {
  if (bits >= demanded) return;
  const where = regime === "best" ? "" : ` under regime '${regime}'`;
  throw new VerificationError("POLICY", `${bits.toFixed(1)} proven bits for this shape${where}, ${demanded} demanded`);
}
