/** The page in a real browser, from disk: accepted, tampered, dev, foreign and garbage files; a model; a phone; and no request at all. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Browser, findBrowser } from "../support/browser.js";

const command = findBrowser();
const skip = command === undefined ? "no Chromium is installed" : false;
const PAGE = new URL("../verify.html", import.meta.url).href;
const COMPAT = new URL("../../../tests/compat/", import.meta.url);
const INDEX = JSON.parse(readFileSync(new URL("receipts.json", COMPAT), "utf8")).receipts;
const HELLO = "hello-compact-100", DEV = "echo-dev";
const SEGMENTS = fileURLToPath(new URL("../../../tests/vectors/segments.receipt", import.meta.url));
const ELF = fileURLToPath(new URL("../../../guest_programs/hello/hello.elf", import.meta.url));
const OTHER_ELF = fileURLToPath(new URL("../../../guest_programs/echo/echo.elf", import.meta.url));
const pathOf = (name) => fileURLToPath(new URL(`${name}.receipt`, COMPAT));
const folder = mkdtempSync(join(tmpdir(), "receipts-"));
/** Where screenshots go, if somebody wants to look at them. */
const pictures = process.env.PAGE_PICTURES;
let browser;

before(() => {
  if (!skip) browser = new Browser(command);
});

after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

function fileOf(name, bytes) {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** The sum of the bytes of all parts that are listed. */
const SHOWN_BYTES = `[...document.querySelectorAll("#bytes td")].map((cell) => Number(cell.textContent.replaceAll(",", "")))
  .reduce((sum, bytes) => sum + bytes)`;

/** A changed copy of the receipt of a run in segments. */
function segmentsWith(change) {
  const bytes = readFileSync(SEGMENTS);
  return fileOf("segments.receipt", change(bytes) ?? bytes);
}

const title = () => browser.evaluate("document.querySelector('#verdict h2').textContent");
const words = (id) => browser.evaluate(`document.getElementById("${id}").innerText`);
const visible = (id) => browser.evaluate(`document.getElementById("${id}").checkVisibility()`);

async function type(id, value) {
  await browser.evaluate(`{ const field = document.getElementById("${id}"); field.value = ${JSON.stringify(value)};
    field.dispatchEvent(new Event("input", { bubbles: true })); }`);
}

async function picture(name) {
  if (pictures === undefined) return;
  mkdirSync(pictures, { recursive: true });
  writeFileSync(join(pictures, `${name}.png`), await browser.screenshot());
}

/** Open the page, choose a receipt, and wait for an answer with this title. */
async function answer(file, expected, { imageId = "", width, policy = {} } = {}) {
  await browser.open(PAGE, width);
  await type("image-id", imageId);
  for (const [id, value] of Object.entries(policy)) {
    if (value === true) await browser.evaluate(`document.getElementById("${id}").click()`);
    else await type(id, value);
  }
  await browser.choose("#receipt", file);
  await browser.until(`document.querySelector('#verdict h2').textContent === ${JSON.stringify(expected)}`);
}

test("accepted", { skip }, async () => {
  await answer(pathOf(HELLO), "Accepted", { imageId: INDEX[HELLO].image_id });
  assert.match(await words("verdict"), /wrote exactly the 5 bytes below and ended with exit code 0.*t \/ 2\^103/s);
  assert.match(await words("facts"), /hello\s+68656c6c6f/);
  assert.match(await words("hidden"), /The input, the memory/);
  assert.match(await words("shows"), /heights of 11 tables/);
  assert.equal(await browser.evaluate("document.querySelectorAll('#buses-picture svg path').length") > 11, true);
  assert.equal(await browser.evaluate(SHOWN_BYTES), readFileSync(pathOf(HELLO)).length);
  await picture("accepted");
});

test("not verified without an image ID; then with it", { skip }, async () => {
  await answer(pathOf(HELLO), "Not verified yet");
  assert.equal(await visible("meaning"), false);
  await type("image-id", INDEX[HELLO].image_id.slice(1));
  await browser.until("document.querySelector('#verdict h2').textContent.startsWith('Something you entered')");
  await type("image-id", ` ${INDEX[HELLO].image_id} `);
  await browser.until("document.querySelector('#verdict h2').textContent === 'Accepted'");
  await type("min-security", "128");
  await browser.until("document.querySelector('#verdict h2').textContent === 'Rejected: POLICY'");
  assert.match(await words("verdict"), /103\.8 proven bits for this shape, 128 demanded/);
  assert.equal(await visible("meaning"), false);
  for (const id of ["min-security", "exit-code"]) {
    await type("min-security", "0");
    await browser.until("document.querySelector('#verdict h2').textContent === 'Accepted'");
    await type(id, "");
    await browser.until("document.querySelector('#verdict h2').textContent.startsWith('Something you entered')");
    await type("exit-code", "0");
  }
});

test("the program itself, in place of its image ID", { skip }, async () => {
  await answer(pathOf(HELLO), "Not verified yet");
  await browser.choose("#program", ELF);
  await browser.until("document.querySelector('#verdict h2').textContent === 'Accepted'");
  assert.equal(await browser.evaluate("document.getElementById('image-id').value"), INDEX[HELLO].image_id);
  assert.match(await words("program-note"), /computed from hello\.elf/);
  await picture("program");
  await browser.choose("#program", OTHER_ELF);
  await browser.until("document.querySelector('#verdict h2').textContent === 'Rejected: IMAGE_ID'");
  await browser.choose("#program", pathOf(HELLO));
  await browser.until("document.getElementById('program-note').textContent.includes('No image ID is taken over')");
  await browser.choose("#program", ELF);
  await browser.until("document.getElementById('program-note').textContent.includes('computing')");
  await type("image-id", INDEX[DEV].image_id);
  assert.equal(await words("program-note"), "");
  await new Promise((resolve) => setTimeout(resolve, 2000));
  assert.equal(await browser.evaluate("document.getElementById('image-id').value"), INDEX[DEV].image_id);
});

test("another program", { skip }, async () => {
  await answer(pathOf(HELLO), "Rejected: IMAGE_ID", { imageId: INDEX[DEV].image_id });
  assert.match(await words("verdict"), /for another program/);
  await picture("foreign");
});

test("tampered", { skip }, async () => {
  const bytes = readFileSync(pathOf(HELLO));
  bytes[bytes.length - 100] ^= 1;
  await answer(fileOf("tampered.receipt", bytes), "Rejected: MERKLE", { imageId: INDEX[HELLO].image_id });
  assert.match(await words("contents-note"), /Nothing of it is proven/);
  await picture("tampered");
});

test("garbage, an empty file, and one that is too long", { skip }, async () => {
  const segments = Buffer.alloc(2 ** 24 + 1);
  segments.write("ZKVMSEGS");
  const files = {
    garbage: [Buffer.from("not a receipt"), /In detail/], empty: [Buffer.alloc(0), /It is empty/],
    json: [Buffer.from("{}"), /looks like JSON/],
    long: [Buffer.alloc(2 ** 24 + 1), /more than 16777216 bytes/], segments: [segments, /format version/],
    program: [readFileSync(ELF), /ELF file/],
  };
  for (const [name, [bytes, expected]] of Object.entries(files)) {
    await answer(fileOf(name, bytes), "Rejected: FORMAT", { imageId: INDEX[HELLO].image_id });
    assert.match(await words("verdict"), expected);
    assert.deepEqual([await visible("contents"), await visible("working")], [false, false]);
  }
  await picture("garbage");
});

test("a run in segments", { skip }, async () => {
  const imageId = INDEX[HELLO].image_id;
  await answer(SEGMENTS, "Accepted", { imageId });
  assert.match(await words("verdict"), /exactly the 5 bytes.*proven in 3 segments.*none is missing.*t \/ 2\^103/s);
  assert.match(await words("facts"), /Proven bits\s+103.*Segments\s+3, and memory: 4 proofs/s);
  assert.match(await words("shows"), /3 segments/);
  assert.equal(await browser.evaluate("document.querySelectorAll('#segments tr').length"), 4);
  assert.equal(await browser.evaluate("document.querySelectorAll('#segments-picture rect').length"), 4);
  assert.equal(await browser.evaluate(SHOWN_BYTES), readFileSync(SEGMENTS).length);
  assert.match(await browser.evaluate("document.getElementById('buses-picture').textContent"), /hand over.*segment state/s);
  await browser.evaluate("{ const part = document.getElementById('part'); part.value = '0'; part.dispatchEvent(new Event('change')); }");
  assert.match(await browser.evaluate("document.getElementById('buses-picture').textContent"), /zero init.*segment word/s);
  await picture("segments");
  await type("max-segments", "2");
  await browser.until("document.querySelector('#verdict h2').textContent === 'Rejected: POLICY'");
  assert.match(await words("verdict"), /3 segments; at most 2 are verified/);
  await answer(SEGMENTS, "Accepted", { imageId, width: 360 });
  assert.equal(await browser.evaluate("document.documentElement.scrollWidth <= 360"), true);
  await picture("segments-phone");
});

test("segments that are tampered with", { skip }, async () => {
  const imageId = INDEX[HELLO].image_id;
  await answer(segmentsWith((bytes) => void (bytes[bytes.length - 100] ^= 1)), "Rejected: MERKLE", { imageId });
  const exchanged = segmentsWith((bytes) => {
    const seals = [];
    for (let at = bytes.indexOf("ZKVMSEAL"); at >= 0; at = bytes.indexOf("ZKVMSEAL", at + 1)) seals.push(at);
    const part = (k) => bytes.subarray(seals[k], seals[k + 1] ?? bytes.length);
    assert.equal(seals.length, 4);
    return Buffer.concat([bytes.subarray(0, seals[0]), part(0), part(2), part(1), part(3)]);
  });
  await answer(exchanged, "Rejected: BUS", { imageId });
  assert.match(await words("verdict"), /exchanged.*The joint buses do not close|exchanged.*the joint buses do not close/s);
  assert.match(await words("contents-note"), /Nothing of it is proven/);
  assert.equal(await visible("meaning"), false);
  await picture("segments-exchanged");
});

test("a policy that is pasted", { skip }, async () => {
  await answer(pathOf(HELLO), "Not verified yet");
  await type("policy", JSON.stringify({ image_id: INDEX[HELLO].image_id, "min-security": 90, regime: "bciks20", allow_dev: true }));
  await browser.until("document.querySelector('#verdict h2').textContent === 'Accepted'");
  const values = "['image-id', 'min-security', 'regime', 'exit-code'].map((id) => document.getElementById(id).value)";
  assert.deepEqual(await browser.evaluate(values), [INDEX[HELLO].image_id, "90", "bciks20", "0"]);
  assert.equal(await browser.evaluate("document.getElementById('allow-dev').checked"), true);
  for (const text of ["{", "[]", "7", '{"min_security": "90"}', '{"minimum": 90}', '{"__proto__": 1, "toString": 1}']) {
    await type("policy", text);
    assert.match(await browser.evaluate("document.getElementById('policy-note').textContent"), /^Nothing is taken over\./);
  }
  assert.equal(await title(), "Accepted");
  await type("policy", '{"regime": "none"}');
  await browser.until("document.querySelector('#verdict h2').textContent.startsWith('Something you entered')");
});

test("who asks again does not wait for the answer before", { skip }, async () => {
  await answer(SEGMENTS, "Accepted", { imageId: INDEX[HELLO].image_id });
  for (let demand = 20; demand < 60; demand++) await type("min-security", String(demand));
  await type("min-security", "104");
  await browser.until("document.querySelector('#verdict h2').textContent === 'Rejected: POLICY'");
  await type("min-security", "100");
  await browser.until("document.querySelector('#verdict h2').textContent === 'Accepted'");
});

test("a dev receipt", { skip }, async () => {
  await answer(pathOf(DEV), "Rejected: POLICY", { imageId: INDEX[DEV].image_id });
  await answer(pathOf(DEV), "Accepted, but nothing is proven", { imageId: INDEX[DEV].image_id, policy: { "allow-dev": true } });
  assert.match(await words("verdict"), /anybody can write one/);
  assert.equal(await visible("pictures"), false);
  await picture("dev");
});

test("without zero knowledge", { skip }, async () => {
  const name = "echo-compact-128-without-zk";
  await answer(pathOf(name), "Accepted", { imageId: INDEX[name].image_id, policy: { "min-security": "128" } });
  assert.match(await words("hidden"), /made without zero knowledge/);
});

test("a file that is dropped", { skip }, async () => {
  await browser.open(PAGE);
  await type("image-id", INDEX[HELLO].image_id);
  const text = readFileSync(pathOf(HELLO)).toString("base64");
  await browser.evaluate(`{ const bytes = Uint8Array.from(atob("${text}"), (mark) => mark.charCodeAt(0));
    const dropped = new DataTransfer();
    dropped.items.add(new File([bytes], "dropped.receipt"));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true })); }`);
  await browser.until("document.querySelector('#verdict h2').textContent === 'Accepted'");
  assert.match(await words("receipt-name"), /dropped\.receipt/);
  await browser.evaluate(`{ const dropped = new DataTransfer();
    dropped.items.add(new File(['{"min_security": 128}'], "policy.json"));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true })); }`);
  await browser.until("document.querySelector('#verdict h2').textContent === 'Rejected: POLICY'");
});

test("an answer about another file does not stay", { skip }, async () => {
  await answer(pathOf(HELLO), "Accepted", { imageId: INDEX[HELLO].image_id });
  const shown = await browser.evaluate(`(() => { const dropped = new DataTransfer();
    dropped.items.add(new File(["another"], "another.receipt"));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
    const hidden = ["contents", "meaning", "outputs"].map((id) => document.getElementById(id).hidden);
    return [document.querySelector("#verdict h2").textContent, ...hidden]; })()`);
  assert.deepEqual(shown, ["Verifying", true, true, true]);
  await browser.until("document.querySelector('#verdict h2').textContent === 'Rejected: FORMAT'");
});

test("a file that is no model", { skip }, async () => {
  await answer(pathOf(HELLO), "Accepted", { imageId: INDEX[HELLO].image_id });
  await browser.choose("#model", fileOf("model.json", "{}"));
  await browser.until("document.querySelector('#verdict h2').textContent.startsWith('Something you entered')");
  const tensor = { name: "y", shape: [1], kind: "real", scale: 1, lo: 0, hi: 1 };
  const modes = { weights: "public", input_mode: "none", output_mode: "full", saturation: "refuse" };
  const described = { format: 6, inputs: [], outputs: [tensor], ...modes, card: {}, weights_digest: "" };
  await browser.choose("#model", fileOf("other.json", JSON.stringify(described)));
  await browser.until("document.querySelector('#verdict h2').textContent === 'Rejected: MODEL'");
  await browser.evaluate("document.getElementById('model-clear').click()");
  await browser.until("document.querySelector('#verdict h2').textContent === 'Accepted'");
});

test("a compiled model, if there is one", { skip: skip || process.env.PAGE_MODEL === undefined }, async () => {
  const { receipt, model, imageId, expected } = JSON.parse(process.env.PAGE_MODEL);
  await answer(receipt, "Accepted", { imageId });
  await browser.choose("#model", model);
  await browser.until("document.getElementById('outputs').checkVisibility()");
  for (const part of expected) assert.ok((await words("outputs")).includes(part), part);
  await picture("model");
});

test("on a phone nothing is wider than the screen, and every field has a name", { skip }, async () => {
  await answer(pathOf(HELLO), "Accepted", { imageId: INDEX[HELLO].image_id, width: 360 });
  assert.equal(await browser.evaluate("document.documentElement.scrollWidth <= 360"), true);
  const fields = "[...document.querySelectorAll('input, select, textarea')]";
  const nameless = `${fields}.filter((field) => field.labels.length === 0).map((field) => field.id)`;
  assert.deepEqual(await browser.evaluate(nameless), []);
  assert.equal(await browser.evaluate("[...document.querySelectorAll('svg')].every((node) => node.getAttribute('aria-label'))"), true);
  await picture("phone");
});

test("where no worker starts, the page itself verifies", { skip }, async () => {
  const source = readFileSync(new URL("../verify.html", import.meta.url), "utf8");
  const path = fileOf("no-worker.html", source.replace("const ask =", "window.Worker = undefined;\nconst ask ="));
  await browser.open(pathToFileURL(path).href);
  await type("image-id", INDEX[HELLO].image_id);
  await browser.choose("#receipt", pathOf(HELLO));
  await browser.until("document.querySelector('#verdict h2').textContent === 'Accepted'");
});

test("nothing was asked of any network", { skip }, async () => {
  assert.equal(await title(), "Accepted");
  assert.ok(browser.requests.length > 10);
  assert.deepEqual(browser.requests.filter((url) => !/^(file|blob|about|data):/.test(url)), []);
});
