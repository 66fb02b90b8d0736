/** The page: what the user drops and chooses goes to the worker, and its answers are shown. Nothing leaves the computer. */

import { bytesPicture, busesPicture } from "./pictures.js";
import { DOES_NOT_PROVE, hidden, outputNote, proves, REASONS, shows } from "./words.js";

const MAX_BYTES = 2 ** 23;
const SHOWN_BYTES = 4096;
const SHOWN_VALUES = 200;
const byId = (id) => document.getElementById(id);
const state = { receipt: null, modelText: null, question: 0, files: 0 };

// ----- the worker ------------------------------------------------------------------------------------------------------------------

const ask = startWorker((reply) => {
  if (reply.id !== state.question) return;
  if (reply.progress !== undefined) byId("progress").value = reply.progress;
  else show(reply);
});

/** A worker made of the script in this file; where the browser starts none, the script runs in the page. */
function startWorker(receive) {
  const source = byId("worker-source").textContent;
  try {
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    worker.addEventListener("message", ({ data }) => receive(data));
    worker.addEventListener("error", () => {
      say("refused", "The verifier stopped unexpectedly", ["Load the page again. If it happens again, it is a fault of the page."]);
    });
    return (question) => worker.postMessage(question);
  } catch {
    const script = document.createElement("script");
    script.textContent = source;
    document.head.append(script);
    return (question) => setTimeout(() => globalThis.answerHere(question, receive));
  }
}

// ----- what the user gives ---------------------------------------------------------------------------------------------------------

async function readReceipt(file) {
  if (file === undefined) return;
  byId("receipt-name").textContent = `${file.name}, ${file.size.toLocaleString("en")} bytes`;
  state.question += 1; // what is still asked about the file before this one is not shown
  state.files += 1;
  const turn = state.files, tooLong = file.size > MAX_BYTES;
  const bytes = tooLong ? null : new Uint8Array(await file.arrayBuffer());
  if (turn !== state.files) return;
  state.receipt = bytes;
  if (tooLong) refuse({ reason: "FORMAT", detail: `more than ${MAX_BYTES} bytes: no receipt is that long` }, null);
  else verifyAgain();
}

async function readModelFile(file) {
  state.modelText = file === undefined ? null : await file.text();
  byId("model-clear").hidden = file === undefined;
  verifyAgain();
}

/** The number in a field; null if there is none, which is refused: an empty field is no demand of 0. */
function numberIn(id) {
  const value = byId(id).valueAsNumber;
  return Number.isNaN(value) ? null : value;
}

/** The policy of the form; null as long as there is no image ID. */
function options() {
  const imageId = byId("image-id").value.replace(/\s/g, "");
  const weightsDigest = byId("weights-digest").value.trim();
  if (imageId === "") return null;
  return {
    imageId,
    minSecurity: numberIn("min-security"),
    regime: byId("regime").value,
    exitCode: numberIn("exit-code"),
    allowDev: byId("allow-dev").checked,
    weightsDigest: weightsDigest === "" ? null : weightsDigest,
  };
}

function verifyAgain() {
  if (state.receipt === null) return;
  byId("progress").value = 0;
  byId("progress").hidden = false;
  state.question += 1;
  ask({ id: state.question, data: state.receipt, options: options(), modelText: state.modelText });
}

// ----- what is shown ---------------------------------------------------------------------------------------------------------------

function element(name, ...children) {
  const node = document.createElement(name);
  node.append(...children);
  return node;
}

function fill(id, ...children) {
  byId(id).replaceChildren(...children);
}

/** The answer at the top, in words and not by colour alone. */
function say(kind, title, sentences) {
  byId("progress").hidden = true;
  const box = byId("verdict");
  box.className = kind;
  fill("verdict", element("h2", title), ...sentences.map((sentence) => element("p", sentence)));
}

function show({ contents, verdict, model, wrong }) {
  if (wrong !== null) say("open", "Something you entered does not fit", [wrong]);
  else if (verdict === null) {
    say("open", "Not verified yet", ["Enter the image ID of the program that you trust."]);
  } else if (verdict.accepted) {
    say(verdict.dev ? "open" : "accepted", verdict.dev ? "Accepted, but nothing is proven" : "Accepted", proves(verdict));
  } else refuse(verdict, contents);
  const accepted = wrong === null && verdict !== null && verdict.accepted;
  byId("contents").hidden = contents === null;
  byId("meaning").hidden = !accepted;
  byId("outputs").hidden = !(accepted && verdict.output);
  if (contents !== null) showContents(contents, accepted ? verdict : null);
  if (accepted) showMeaning(verdict, contents);
  if (accepted && verdict.output) showOutputs(verdict.output, model);
}

function refuse({ reason, detail }, contents) {
  const [what, then] = REASONS[reason];
  say("refused", `Rejected: ${reason}`, [what, `In detail: ${detail}.`, then]);
  if (contents === null) for (const id of ["contents", "meaning", "outputs"]) byId(id).hidden = true;
}

function showMeaning(verdict, contents) {
  const list = (id, sentences) => fill(id, ...sentences.map((sentence) => element("li", sentence)));
  list("does-not-prove", DOES_NOT_PROVE);
  list("hidden", hidden(verdict));
  list("shows", shows(contents));
}

function row(name, ...cells) {
  const header = element("th", name);
  header.scope = "row";
  return element("tr", header, ...cells.map((cell) => element("td", cell)));
}

function showContents(contents, verdict) {
  const proven = verdict !== null && !verdict.dev;
  byId("contents-note").textContent = proven ? "" : "This is what the file says of itself. Nothing of it is proven.";
  const { name, claimedBits, blowup, queries } = contents.parameters;
  const rows = [
    row("Image ID", code(contents.imageId)),
    row("Exit code", String(contents.exitCode)),
    row("Journal", journal(contents.journal)),
    row("Proof", contents.dev ? "none: a dev receipt" : `${name}, ${claimedBits} bits claimed (blowup ${blowup}, ${queries} queries)`),
    row("Zero knowledge", contents.dev ? "no proof" : contents.zk ? "yes, says the prover" : "no"),
    row("Size", `${contents.receiptBytes.toLocaleString("en")} bytes`),
  ];
  if (proven) {
    const { best, bciks20, unique } = verdict.bitsByRegime;
    rows.splice(3, 0, row("Proven bits", `${best} (with theorems of 2020 alone ${bciks20}, with unique decoding alone ${unique})`));
  }
  fill("facts", ...rows);
  byId("pictures").hidden = contents.dev;
  if (contents.dev) return;
  fill("bytes-picture", bytesPicture(contents.parts));
  fill("bytes", ...contents.parts.map(({ name: part, bytes }, k) => {
    const line = row(part, bytes.toLocaleString("en"));
    line.className = `key key-${k}`;
    return line;
  }));
  fill("buses-picture", busesPicture(contents.tables));
  fill("tables", ...contents.tables.map(({ name: table, height, columns, buses }) => {
    return row(table.replaceAll("_", " "), height.toLocaleString("en"), String(columns[0] + columns[1] + columns[2]), buses.join(", "));
  }));
}

function code(text) {
  return element("code", text);
}

/** The journal as text if it is text, and as hexadecimal digits. */
function journal(bytes) {
  const node = element("div");
  if (bytes.length === 0) return "empty";
  const part = bytes.subarray(0, SHOWN_BYTES);
  const text = new TextDecoder().decode(part);
  if (!/[\ufffd\u0000-\u0008\u000e-\u001f]/.test(text)) node.append(element("pre", text));
  node.append(code(Array.from(part, (byte) => byte.toString(16).padStart(2, "0")).join("")));
  if (bytes.length > SHOWN_BYTES) node.append(element("p", `and ${(bytes.length - SHOWN_BYTES).toLocaleString("en")} bytes more`));
  return node;
}

function showOutputs(output, model) {
  const rows = Object.entries(output.tensors).map(([name, { shape, values }]) => {
    const more = values.length > SHOWN_VALUES ? `, and ${values.length - SHOWN_VALUES} more` : "";
    return row(name, shape.length > 0 ? shape.join(" x ") : "one number", values.slice(0, SHOWN_VALUES).map(numberText).join(", ") + more);
  });
  const { label, labelName } = output;
  if (label !== null) rows.push(row("label", "", labelName === null ? String(label) : `${labelName} (${label})`));
  for (const [name, digest] of Object.entries(output.digests)) rows.push(row(`digest of the ${name}`, "", code(digest)));
  fill("output-rows", ...rows);
  const weights = model.weights === "private" ? "The model's weights are private; the run had those with the published digest. " : "";
  byId("output-note").textContent = weights + outputNote(output);
}

function numberText(value) {
  return typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(7))) : String(value);
}

// ----- events ----------------------------------------------------------------------------------------------------------------------

byId("receipt").addEventListener("change", ({ target }) => readReceipt(target.files[0]));
byId("model").addEventListener("change", ({ target }) => readModelFile(target.files[0]));
byId("model-clear").addEventListener("click", () => {
  byId("model").value = "";
  readModelFile(undefined);
});
byId("trust").addEventListener("input", ({ target }) => target.type !== "file" && verifyAgain());
byId("trust").addEventListener("submit", (event) => event.preventDefault());
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dragging", name === "dragover");
  });
}
document.addEventListener("drop", ({ dataTransfer }) => readReceipt(dataTransfer.files[0]));
document.documentElement.dataset.ready = "yes";
