/** The command: what it prints, and its exit codes. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { COMPOSITE, DEV, HELLO } from "../support/files.js";

const COMMAND = fileURLToPath(new URL("../bin/zkvm-verify.js", import.meta.url));
const file = (name) => fileURLToPath(new URL(`../../../tests/compat/${name}.receipt`, import.meta.url));
const ID = HELLO.expected.image_id;

function run(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("accepted", () => {
  const { status, stdout, stderr } = run(file(HELLO.name), "--image-id", ID);
  assert.equal(status, 0);
  assert.match(stdout, /^accepted\n/);
  assert.ok(stdout.includes(ID) && stdout.includes("journal: 68656c6c6f"));
  assert.equal(stderr, "");
  const view = JSON.parse(run(file(HELLO.name), "--image-id", ID, "--json").stdout);
  assert.deepEqual([view.accepted, view.image_id, view.journal, view.security_bits, view.zk], [true, ID, "68656c6c6f", 103, true]);
});

test("rejected", () => {
  const { status, stdout, stderr } = run(file(HELLO.name), "--image-id", ID, "--min-security", "128");
  assert.deepEqual([status, stdout], [1, ""]);
  assert.match(stderr, /rejected: POLICY: 103\.8 proven bits/);
  assert.equal(JSON.parse(run(file(HELLO.name), "--image-id", "00".repeat(32), "--json").stdout).reason, "IMAGE_ID");
  assert.equal(run(file(DEV.name), "--image-id", DEV.expected.image_id).status, 1);
  const dev = run(file(DEV.name), "--image-id", DEV.expected.image_id, "--allow-dev");
  assert.equal(dev.status, 0);
  assert.match(dev.stdout, /nothing is proven/);
});

test("a run in segments", () => {
  const path = fileURLToPath(new URL("../../../tests/vectors/segments.receipt", import.meta.url));
  const { status, stdout } = run(path, "--image-id", COMPOSITE.imageId);
  assert.equal(status, 0);
  assert.match(stdout, /journal: 68656c6c6f\nsecurity: 103 bits/);
  const few = run(path, "--image-id", COMPOSITE.imageId, "--max-segments", "2");
  assert.equal(few.status, 1);
  assert.match(few.stderr, /POLICY: 3 segments; at most 2 are verified/);
});

test("0x before an image ID and before a digest of weights", () => {
  assert.equal(run(file(HELLO.name), "--image-id", `0x${ID}`).status, 0);
  const [plain, marked, twice] = ["", "0x", "0x0x"].map((prefix) => {
    const { status, stderr } = run(file(HELLO.name), "--image-id", ID, "--weights-digest", `${prefix}${"12".repeat(32)}`);
    return { status, stderr };
  });
  assert.deepEqual(marked, plain);
  assert.deepEqual([plain.status, twice.status], [1, 2]);
});

test("the program in place of its image ID, or beside it: then they must agree", () => {
  const program = fileURLToPath(new URL("../../../guest_programs/hello/hello.elf", import.meta.url));
  assert.equal(run(file(HELLO.name), "--elf", program, "--image-id", ID).status, 0);
  assert.equal(run(file(HELLO.name), "--elf", file(HELLO.name)).status, 3);
});

test("files that are too long are not read", () => {
  const folder = mkdtempSync(join(tmpdir(), "long-"));
  const path = join(folder, "long.receipt");
  writeFileSync(path, Buffer.alloc(2 ** 24 + 1));
  const { status, stderr } = run(path, "--image-id", ID);
  rmSync(folder, { recursive: true });
  assert.equal(status, 3);
  assert.match(stderr, /more than 16777216 bytes/);
});

test("usage and files", () => {
  const wrong = [
    [], [file(HELLO.name)], [file(HELLO.name), "--image-id", "12"], [file(HELLO.name), "--image-id", ID, "--regime", "none"],
    [file(HELLO.name), "--image-id", ID, "--min-security", "many"], [file(HELLO.name), file(HELLO.name), "--image-id", ID],
    [file(HELLO.name), "--image-id", ID, "--unknown"], [file(HELLO.name), "--image-id", ID, "--max-segments", "few"],
  ];
  for (const args of wrong) assert.equal(run(...args).status, 2, args.join(" "));
  assert.equal(run("missing.receipt", "--image-id", ID).status, 3);
  assert.equal(run(file(HELLO.name), "--image-id", ID, "--model", COMMAND).status, 3);
  const json = run("missing.receipt", "--image-id", ID, "--json");
  assert.equal(JSON.parse(json.stdout).exit_code, 3);
  assert.equal(run("--help").status, 0);
});
