/** The examples of README.md run, as a user of the package would run them. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { HELLO } from "../support/files.js";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
const RECEIPT = fileURLToPath(new URL(`../../../tests/compat/${HELLO.name}.receipt`, import.meta.url));
const GUEST = fileURLToPath(new URL("../../../guest_programs/hello/hello.elf", import.meta.url));
const page = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const examples = [...page.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code);
const expected = ["hello\n0 103 true\n", `${HELLO.expected.image_id}\n`, `true\n${HELLO.expected.image_id}\n`];

test("there are as many examples as answers", () => assert.equal(examples.length, expected.length));

examples.forEach((code, k) => {
  test(`example ${k + 1}`, () => {
    const own = code.replaceAll("run.receipt", RECEIPT).replaceAll("HEX", HELLO.expected.image_id).replaceAll("guest.elf", GUEST);
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", own], { cwd: PACKAGE, encoding: "utf8" });
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: expected[k], stderr: "" });
  });
});
