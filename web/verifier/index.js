/** Verifies receipts of zkvm: see README.md; the types are in index.d.ts. */

export { FormatError, REASONS, UsageError, VerificationError, ZkvmError } from "./src/errors.js";
export { computeImageId, inspect, verdict, verify } from "./src/check.js";
export { checkJournal as decodeJournal, readModel } from "./src/model.js";
