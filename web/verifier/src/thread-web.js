/** What a worker of a browser runs. */

import { serve } from "./serve.js";

self.addEventListener("message", ({ data }) => serve(data, (reply) => self.postMessage(reply)));
