/** A verifier in a thread of its own, in Node. */

import { Worker } from "node:worker_threads";
import { Client } from "./src/client.js";

function start(onReply, onFailure) {
  // Not with the program's own arguments of Node: `--input-type`, for one, would keep a thread from starting.
  const thread = new Worker(new URL("./src/thread-node.js", import.meta.url), { execArgv: [] });
  thread.on("message", onReply);
  thread.on("error", onFailure);
  // A program may end while its verifier waits for the next receipt, but not while it works.
  thread.unref();
  return {
    post: (message) => {
      thread.ref();
      thread.postMessage(message);
    },
    idle: () => thread.unref(),
    stop: () => void thread.terminate(),
  };
}

export class VerifierWorker extends Client {
  constructor() {
    super(start);
  }
}
