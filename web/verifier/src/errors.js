/** What the verifier throws on purpose, and nothing else: the same tree and the same reasons as the Python package. */

/** Why a receipt is refused; what each reason means is in docs/receipts.md. */
export const REASONS = Object.freeze([
  "FORMAT", "POLICY", "IMAGE_ID", "CLAIM", "MODEL", "SHAPE", "BUS", "OOD", "MERKLE", "FRI", "GRINDING",
]);

/** Base of every error of this package. */
export class ZkvmError extends Error {
  constructor(message) {
    super(message);
    this.name = this.constructor.name;
  }
}

/** The caller's arguments make no sense: no image ID, an unknown regime, a file that describes no model. */
export class UsageError extends ZkvmError {}

/** A receipt is refused. `reason` is for programs, `detail` for people. */
export class VerificationError extends ZkvmError {
  constructor(reason, detail) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
    this.detail = detail;
  }
}

/** The bytes do not decode: thrown before any arithmetic. */
export class FormatError extends VerificationError {
  constructor(detail) {
    super("FORMAT", detail);
  }
}

/** Throw a refusal unless the condition holds. */
export function demand(condition, reason, detail) {
  if (!condition) throw new VerificationError(reason, typeof detail === "function" ? detail() : detail);
}
