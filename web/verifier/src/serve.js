/** The thread's side of a verifier in a thread of its own: answers messages. */

import { verdict } from "./check.js";
import { UsageError } from "./errors.js";

/**
 * Answer one message {id, data, options}; `post` sends replies, of which the last has an answer or an error.
 * @param {{id: number, data: Uint8Array, options: object}} message
 * @param {(reply: object) => void} post
 */
export function serve({ id, data, options }, post) {
  const onProgress = (phase, share) => post({ id, progress: [phase, share] });
  try {
    post({ id, answer: verdict(data, { ...options, onProgress }) });
  } catch (error) {
    post({ id, usage: error instanceof UsageError, error: String(error.message) });
  }
}
