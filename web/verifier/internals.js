/** For the tests of this package: what `index.js` keeps to itself. Nothing here is part of the package's interface. */

export * as blake3 from "./src/blake3.js";
export * as buses from "./src/buses.js";
export * as bytes from "./src/bytes.js";
export * as check from "./src/check.js";
export * as commitment from "./src/commitment.js";
export * as constants from "./src/constants.js";
export * as elf from "./src/elf.js";
export * as errors from "./src/errors.js";
export * as field from "./src/field.js";
export * as fri from "./src/fri.js";
export * as image from "./src/image.js";
export * as instructions from "./src/instructions.js";
export * as joint from "./src/joint.js";
export * as machine from "./src/machine.js";
export * as merkle from "./src/merkle.js";
export * as model from "./src/model.js";
export * as parameters from "./src/parameters.js";
export * as receipt from "./src/receipt.js";
export * as seal from "./src/seal.js";
export * as security from "./src/security.js";
export * as shape from "./src/shape.js";
export * as statement from "./src/statement.js";
export * as transcript from "./src/transcript.js";
export * as transform from "./src/transform.js";
export * as verify from "./src/verify.js";
