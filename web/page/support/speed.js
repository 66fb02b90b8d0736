/**
 * How long a browser takes to verify a receipt: `node support/speed.js RECEIPT IMAGE_ID [PROGRAM.elf]`. Milliseconds of the clock: ask an
 * idle machine. `first` is in a fresh page, with reading the machine and compiling the code, in a worker with its start; `later` is the
 * best of nine.
 */

import { readFileSync } from "node:fs";
import { Browser, findBrowser } from "./browser.js";
import { measured } from "./modules.js";

const [receipt, imageId, program] = process.argv.slice(2), command = findBrowser();
if (imageId === undefined || command === undefined) {
  console.error(command === undefined ? "no Chromium is installed" : "usage: node support/speed.js RECEIPT IMAGE_ID [PROGRAM.elf]");
  process.exitCode = 2;
} else {
  const browser = new Browser(command);
  try {
    const own = { receipt: readFileSync(receipt), imageId, program: program === undefined ? null : readFileSync(program), rounds: 10 };
    const { phases, ...figures } = await measured(browser, own);
    console.log(JSON.stringify(figures, (_, value) => (typeof value === "number" ? Math.round(value) : value), 2));
  } finally {
    await browser.close();
  }
}
