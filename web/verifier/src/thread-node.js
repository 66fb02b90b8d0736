/** What a thread of Node runs. */

import { parentPort } from "node:worker_threads";
import { serve } from "./serve.js";

parentPort.on("message", (message) => serve(message, (reply) => parentPort.postMessage(reply)));
