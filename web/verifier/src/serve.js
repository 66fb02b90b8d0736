/** The thread's side of a verifier in a thread of its own: answers messages. */

import { computeImageId, verdict } from "./check.js";
import { UsageError } from "./errors.js";

const TASKS = { verdict, computeImageId };

/**
 * Answer one message {id, task, data, options}; `post` sends replies, of which the last has an answer or an error.
 * @param {{id: number, task: string, data: Uint8Array, options: object}} message
 * @param {(reply: object) => void} post
 */
export function serve({ id, task, data, options }, post) {
  const onProgress = (phase, share) => post({ id, progress: [phase, share] });
  try {
    post({ id, answer: TASKS[task](data, { ...options, onProgress }) });
  } catch (error) {
    post({ id, usage: error instanceof UsageError, error: String(error.message) });
  }
}
