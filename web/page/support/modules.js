/** The verifier's modules in a real browser, as a page without a bundler has them: served by a server on this machine. */

import { createServer } from "node:http";
import { readFileSync } from "node:fs";

const PACKAGE = new URL("../../verifier/", import.meta.url);
const PAGE = '<!doctype html><html lang="en" data-ready="yes"><title>modules</title></html>';
const KINDS = { js: "text/javascript", html: "text/html" };

/** A server of the package's files and of some bytes by name; `url` is its address. */
export async function serve(files) {
  const server = createServer(({ url }, response) => {
    const name = url.slice(1), kind = KINDS[name.split(".").pop()] ?? "application/octet-stream";
    try {
      const own = files[name] ?? (name === "index.html" ? PAGE : readFileSync(new URL(name, PACKAGE)));
      response.writeHead(200, { "content-type": kind }).end(own);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/**
 * What both verifiers say of a receipt, in the page and in a worker: `first` and later milliseconds of each, and what importing took.
 * @param {import("./browser.js").Browser} browser
 * @param {{receipt: Uint8Array, imageId: string, program: Uint8Array | null, rounds: number}} what a program's image ID is computed, too
 */
export async function measured(browser, { receipt, imageId, program = null, rounds = 1 }) {
  const { url, close } = await serve({ "a.receipt": receipt, ...(program === null ? {} : { "a.elf": program }) });
  try {
    await browser.open(`${url}index.html`);
    return await browser.evaluate(`(async () => {
      const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
      const receipt = await bytes("a.receipt"), result = { phases: [] };
      const timed = async (act) => {
        const start = performance.now();
        const answer = await act();
        return [performance.now() - start, answer];
      };
      let here, threads;
      [result.importing, [here, threads]] = await timed(() => Promise.all([import("/index.js"), import("/worker-web.js")]));
      const worker = new threads.VerifierWorker(), imageId = "${imageId}";
      const onProgress = (phase, share) => void result.phases.push(share);
      for (const [name, act] of [
        ["page", () => here.verdict(receipt, { imageId })],
        ["worker", () => worker.verdict(receipt, { imageId, onProgress })],
      ]) {
        const rounds = [];
        for (let round = 0; round < ${rounds}; round++) {
          const [time, answer] = await timed(act);
          rounds.push(time);
          result[name] = { first: rounds[0], later: Math.min(...rounds.slice(1)), accepted: answer.accepted, reason: answer.reason };
        }
      }
      if (${program !== null}) {
        [result.computing, result.computed] = await timed(async () => worker.computeImageId(await bytes("a.elf")));
      }
      worker.terminate();
      return result;
    })()`);
  } finally {
    close();
  }
}
