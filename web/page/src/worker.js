/** The page's worker: reads and verifies what the page sends. Where no worker can start, the page runs this script itself. */

import { verdict } from "../../verifier/src/check.js";
import { UsageError, VerificationError } from "../../verifier/src/errors.js";
import { readModel } from "../../verifier/src/model.js";
import { describe } from "./describe.js";

/**
 * Answer a question {id, data, options, modelText}: what is inside, and, if there is an image ID, the verdict.
 * @param {object} question
 * @param {(reply: object) => void} post
 */
function answer({ id, data, options, modelText }, post) {
  const reply = { id, contents: null, verdict: null, model: null, wrong: null };
  try {
    if (modelText !== null) reply.model = readModel(modelText);
    reply.contents = describe(data);
    const onProgress = (phase, share) => post({ id, progress: share });
    if (options !== null) reply.verdict = verdict(data, { ...options, model: reply.model, onProgress });
  } catch (error) {
    if (error instanceof UsageError) reply.wrong = error.message;
    else if (error instanceof VerificationError) reply.verdict = { accepted: false, reason: error.reason, detail: error.detail };
    else throw error;
  }
  post(reply);
}

if (typeof document === "undefined") self.addEventListener("message", ({ data }) => answer(data, (reply) => self.postMessage(reply)));
else globalThis.answerHere = answer;
