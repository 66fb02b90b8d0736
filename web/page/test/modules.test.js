/** The verifier's package in a real browser without a bundler: its modules, and its worker, which is a module, too. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Browser, findBrowser } from "../support/browser.js";
import { measured } from "../support/modules.js";

const command = findBrowser();
const skip = command === undefined ? "no Chromium is installed" : false;
const TESTS = new URL("../../../tests/", import.meta.url);
const INDEX = JSON.parse(readFileSync(new URL("compat/receipts.json", TESTS), "utf8")).receipts;
const HELLO = "hello-compact-100";
const program = readFileSync(new URL("../../../guest_programs/hello/hello.elf", import.meta.url));

test("accepted and rejected, in the page and in a worker", { skip }, async () => {
  const browser = new Browser(command);
  try {
    const imageId = INDEX[HELLO].image_id, receipt = readFileSync(new URL(`compat/${HELLO}.receipt`, TESTS));
    const good = await measured(browser, { receipt, imageId, program });
    assert.deepEqual([good.page.accepted, good.worker.accepted, good.computed], [true, true, imageId]);
    assert.ok(good.phases.length > 3 && good.phases.at(-1) === 1, "progress is shown");
    assert.ok(good.phases.every((share, k) => k === 0 || share >= good.phases[k - 1]));
    receipt[receipt.length - 100] ^= 1;
    const bad = await measured(browser, { receipt, imageId });
    assert.deepEqual([bad.page.reason, bad.worker.reason], ["MERKLE", "MERKLE"]);
  } finally {
    await browser.close();
  }
});
