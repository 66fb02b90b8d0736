/** The page's side of a verifier in a thread of its own. */

import { UsageError, ZkvmError } from "./errors.js";

/** Verifies in a thread, so that the caller's is not blocked. The thread starts with the first receipt. */
export class Client {
  /** @param {(onReply: (reply: object) => void, onFailure: (error: Error) => void) => object} start of a thread:
   * returns how to `post` to it, to say that it is `idle`, and to `stop` it */
  constructor(start) {
    this.start = start;
    this.thread = null;
    this.waiting = new Map();
    this.count = 0;
  }

  /** As `verdict`, but a promise. */
  verdict(data, options = {}) {
    return this.ask("verdict", data, options);
  }

  /** As `computeImageId`, but a promise. */
  computeImageId(program, options = {}) {
    return this.ask("computeImageId", program, options);
  }

  ask(task, data, { onProgress = () => {}, ...options }) {
    return new Promise((resolve, reject) => {
      const id = this.count++;
      this.waiting.set(id, { resolve, reject, onProgress });
      try {
        this.thread ??= this.start((reply) => this.receive(reply), (error) => this.fail(error));
        this.thread.post({ id, task, data, options });
      } catch (error) {
        this.waiting.delete(id);
        reject(error);
      }
    });
  }

  /** End the thread; what is not answered yet is rejected. A later call starts another one. */
  terminate() {
    this.fail(new ZkvmError("the verifier was ended"));
  }

  receive({ id, progress, answer, usage, error }) {
    const caller = this.waiting.get(id);
    if (caller === undefined) return;
    if (progress !== undefined) {
      caller.onProgress(...progress);
      return;
    }
    this.waiting.delete(id);
    if (this.waiting.size === 0) this.thread?.idle();
    if (answer !== undefined) caller.resolve(answer);
    else caller.reject(usage ? new UsageError(error) : new ZkvmError(error));
  }

  fail(error) {
    this.thread?.stop();
    this.thread = null;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
