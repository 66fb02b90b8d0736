/** The page's worker: reads and verifies what the page sends. Where no worker can start, the page runs this script itself. */

import { computeImageId, machine, verdict } from "../../verifier/src/check.js";
import { FormatError, UsageError, VerificationError } from "../../verifier/src/errors.js";
import { readModel } from "../../verifier/src/model.js";
import { MAGIC_BYTES, mostBytes, tooLong } from "../../verifier/src/receipt.js";
import { describe } from "./describe.js";

const MAX_PROGRAM_BYTES = 2 ** 28;

/** The file that was read last: the page asks about it again whenever the user demands something else. */
const last = { number: -1, bytes: null, contents: null };

/**
 * Read a file and look into it, unless that is done already.
 * @throws {FormatError} it is too long for a receipt, or is none
 */
async function look(number, file) {
  if (last.number === number) return;
  const most = mostBytes(new Uint8Array(await file.slice(0, MAGIC_BYTES).arrayBuffer()));
  if (file.size > most) throw new FormatError(tooLong(most));
  const bytes = new Uint8Array(await file.arrayBuffer());
  Object.assign(last, { number, bytes, contents: describe(bytes) });
}

/** Answer a question {id, number, file, options, modelText}: what is inside, and, if there is an image ID, the verdict. */
async function answer({ id, number, file, options, modelText }, post) {
  const reply = { id, contents: null, verdict: null, model: null, wrong: null };
  try {
    if (modelText !== null) reply.model = readModel(modelText);
    await look(number, file);
    reply.contents = last.contents;
    const onProgress = (phase, share) => post({ id, progress: { phase, share } });
    if (options !== null) reply.verdict = verdict(last.bytes, { ...options, model: reply.model, onProgress });
  } catch (error) {
    if (error instanceof UsageError) reply.wrong = error.message;
    else if (error instanceof VerificationError) reply.verdict = { accepted: false, reason: error.reason, detail: error.detail };
    else reply.wrong = `The file cannot be verified here: ${error.message}`;
  }
  post(reply);
}

/** Answer a question {id, program}: the image ID of a file, or what is wrong with it. */
async function compute({ id, program }, post) {
  const reply = { id, imageId: null, wrong: null };
  try {
    if (program.size > MAX_PROGRAM_BYTES) throw new UsageError("too long for this page");
    const bytes = new Uint8Array(await program.arrayBuffer());
    reply.imageId = computeImageId(bytes, { onProgress: (phase, share) => post({ id, progress: { phase, share } }) });
  } catch (error) {
    reply.wrong = error instanceof UsageError ? error.message : `it cannot be read here: ${error.message}`;
  }
  post(reply);
}

let turn = Promise.resolve();

/** One question after the other. */
function answerInTurn(question, post) {
  turn = turn.then(() => (question.program === undefined ? answer(question, post) : compute(question, post)));
}

if (typeof document === "undefined") {
  self.addEventListener("message", ({ data }) => answerInTurn(data, (reply) => self.postMessage(reply)));
  machine(); // read before anybody asks
} else globalThis.answerHere = answerInTurn;
