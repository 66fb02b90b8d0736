/** A verifier in a worker of the browser. */

import { Client } from "./src/client.js";

function start(onReply, onFailure) {
  const worker = new Worker(new URL("./src/thread-web.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }) => onReply(data));
  worker.addEventListener("error", (event) => onFailure(new Error(event.message ?? "the worker cannot be loaded")));
  return { post: (message) => worker.postMessage(message), idle: () => {}, stop: () => worker.terminate() };
}

export class VerifierWorker extends Client {
  constructor() {
    super(start);
  }
}
