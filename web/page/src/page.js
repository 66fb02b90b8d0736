/** The page: what the user drops and chooses goes to the worker, and its answers are shown. Nothing leaves the computer. */

import { bytesPicture, busesPicture, segmentsPicture } from "./pictures.js";
import { readPasted } from "./policy.js";
import { DOES_NOT_PROVE, foreign, hidden, ofSegments, outputNote, proves, REASONS, shows } from "./words.js";

const SHOWN_BYTES = 4096;
const SHOWN_VALUES = 200;
const SHOWN_SEGMENTS = 64;
const HEAD_BYTES = 8;
/** Pixels; narrower screens get a narrower picture. */
const PHONE = 600;
/** For so many milliseconds an answer to what was asked before may stay; one about another file may not stay at all. */
const STALE = 150;
const byId = (id) => document.getElementById(id);
const state = { file: null, files: 0, programs: 0, onImageId: null, modelText: null, question: 0, proofs: [], timer: 0 };

// ----- the worker ------------------------------------------------------------------------------------------------------------------

/** Computes image IDs: apart, so that a receipt need not wait for it. Started when it is needed. */
let computing = null;
const ask = startWorker((reply) => {
  if (reply.id !== state.question) return;
  if (reply.progress !== undefined) {
    if (!byId("working").hidden) showProgress(reply.progress);
  } else show(reply);
});

/** A worker made of the script in this file; where the browser starts none, the script runs in the page. */
function startWorker(receive) {
  const source = byId("worker-source").textContent;
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  let worker = null, isBusy = false;
  const start = () => {
    worker = new Worker(url);
    worker.addEventListener("message", ({ data }) => {
      isBusy = data.progress !== undefined;
      receive(data);
    });
    worker.addEventListener("error", () => {
      worker = null;
      say("refused", "The verifier stopped unexpectedly", ["Load the page again. If it happens again, it is a fault of the page."]);
    });
  };
  try {
    start();
    return (question) => {
      // Whoever asks anew does not wait for the answer before: it may take long.
      if (isBusy) worker?.terminate();
      if (isBusy || worker === null) start();
      isBusy = true;
      worker.postMessage(question);
    };
  } catch {
    if (globalThis.answerHere === undefined) {
      const script = document.createElement("script");
      script.textContent = source;
      document.head.append(script);
    }
    return (question) => setTimeout(() => globalThis.answerHere(question, receive));
  }
}

// ----- what the user gives ---------------------------------------------------------------------------------------------------------

function readReceipt(file) {
  if (file === undefined) return;
  byId("receipt-name").textContent = `${file.name}, ${file.size.toLocaleString("en")} bytes`;
  Object.assign(state, { file, files: state.files + 1 });
  for (const id of ["contents", "meaning", "outputs"]) byId(id).hidden = true;
  verifyAgain(0);
}

/** Compute the image ID of a program, and take it over. */
function readProgram(file) {
  if (file === undefined) return;
  const note = byId("program-note");
  const current = ++state.programs;
  note.textContent = `${file.name}: computing`;
  computing ??= startWorker((reply) => state.onImageId(reply));
  state.onImageId = ({ id, progress, imageId, wrong }) => {
    if (id !== current) return;
    if (progress !== undefined) note.textContent = `${file.name}: computing, ${Math.floor(100 * progress.share)} % done`;
    else if (imageId === null) note.textContent = `${file.name}: ${wrong}. No image ID is taken over from it.`;
    else {
      note.textContent = `The image ID above was computed from ${file.name}, ${file.size.toLocaleString("en")} bytes.`;
      byId("image-id").value = imageId;
      verifyAgain();
    }
  };
  computing({ id: current, program: file });
}

/** The image ID is the user's own now: not that of the program, even if it is being computed. */
function forgetProgram() {
  state.programs += 1;
  byId("program").value = "";
  byId("program-note").textContent = "";
}

async function readModelFile(file) {
  useModel(file === undefined ? null : await file.text());
}

function useModel(text) {
  state.modelText = text;
  byId("model-clear").hidden = text === null;
  verifyAgain();
}

/** Take over what the user pasted, or dropped as a file. */
function readPolicy(text) {
  const note = byId("policy-note");
  try {
    const { model, fields } = readPasted(text);
    if ("image-id" in fields) forgetProgram();
    for (const [id, value] of Object.entries(fields)) byId(id)[typeof value === "boolean" ? "checked" : "value"] = value;
    note.textContent = model === null ? `Taken over: ${Object.keys(fields).join(", ") || "nothing"}.` : "Taken over: a compiled model.";
    if (model === null) verifyAgain();
    else useModel(model);
  } catch (error) {
    note.textContent = `Nothing is taken over. ${error.message}`;
    note.closest("details").open = true;
  }
}

/** Files that were dropped or pasted: a receipt, a program, a policy, a model. */
function take(files) {
  for (const file of files) {
    if (file.name.endsWith(".json")) file.text().then(readPolicy);
    else if (file.name.endsWith(".elf")) readProgram(file);
    else readReceipt(file);
  }
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
    maxSegments: numberIn("max-segments"),
    weightsDigest: weightsDigest === "" ? null : weightsDigest,
  };
}

/** Ask about the receipt; what was said before stays for `stale` milliseconds at most. */
function verifyAgain(stale = STALE) {
  if (state.file === null) return;
  clearTimeout(state.timer);
  if (stale > 0) state.timer = setTimeout(wait, stale);
  else wait();
  state.question += 1;
  const { question, files, file, modelText } = state;
  ask({ id: question, number: files, file, options: options(), modelText });
}

// ----- what is shown ---------------------------------------------------------------------------------------------------------------

function element(name, ...children) {
  const node = document.createElement(name);
  node.append(...children);
  return node;
}

/** Nothing is known yet. */
function wait() {
  byId("meaning").hidden = true;
  byId("outputs").hidden = true;
  say("open", "Verifying", []);
  showProgress({ phase: "", share: 0 });
}

function showProgress({ phase, share }) {
  byId("working").hidden = false;
  byId("progress").value = share;
  byId("phase").textContent = phase === "" ? "Reading" : `Verifying, ${Math.floor(100 * share)} % done: ${phase}`;
}

function fill(id, ...children) {
  byId(id).replaceChildren(...children);
}

/** The answer at the top, in words and not by colour alone. */
function say(kind, title, sentences) {
  clearTimeout(state.timer);
  byId("working").hidden = true;
  const box = byId("verdict");
  box.className = kind;
  fill("verdict", element("h2", title), ...sentences.map((sentence) => element("p", sentence)));
}

function show({ contents, verdict, model, wrong }) {
  if (wrong !== null) say("open", "Something you entered does not fit", [wrong]);
  else if (verdict === null) {
    say("open", "Not verified yet", ["Enter the image ID of the program that you trust."]);
  } else if (verdict.accepted) {
    say(verdict.dev ? "open" : "accepted", verdict.dev ? "Accepted, but nothing is proven" : "Accepted", proves(verdict, contents));
  } else refuse(verdict, contents);
  const accepted = wrong === null && verdict !== null && verdict.accepted;
  byId("contents").hidden = contents === null;
  byId("meaning").hidden = !accepted;
  byId("outputs").hidden = !(accepted && verdict.output);
  if (contents !== null) showContents(contents, accepted ? verdict : null);
  if (accepted) showMeaning(verdict, contents);
  if (accepted && verdict.output) showOutputs(verdict.output, model);
}

async function refuse({ reason, detail }, contents) {
  const [what, then] = REASONS[reason];
  const { question, file } = state;
  const more = contents === null ? await foreignNote(file) : contents.segments.length > 0 ? ofSegments(reason) : null;
  if (question !== state.question) return;
  say("refused", `Rejected: ${reason}`, [what, ...(more === null ? [] : [more]), `In detail: ${detail}.`, then]);
}

/** What a file that is no receipt looks like. */
async function foreignNote(file) {
  try {
    return foreign(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
  } catch {
    return null; // the file is gone
  }
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
  const { segments } = contents;
  if (segments.length > 0) {
    const [few, all] = [segments.length, segments.length + 1].map((number) => number.toLocaleString("en"));
    rows.splice(4, 0, row("Segments", `${few}, and memory: ${all} proofs`));
  }
  if (proven) {
    const { best, bciks20, unique } = verdict.bitsByRegime;
    rows.splice(3, 0, row("Proven bits", `${best} (with theorems of 2020 alone ${bciks20}, with unique decoding alone ${unique})`));
  }
  fill("facts", ...rows);
  byId("pictures").hidden = contents.dev;
  if (contents.dev) return;
  fill("bytes-picture", bytesPicture(contents.parts));
  fill("bytes", ...contents.parts.map(({ key, name: part, bytes }) => {
    const line = row(part, bytes.toLocaleString("en"));
    line.className = `key part-${key}`;
    return line;
  }));
  showSegments(contents);
  showProofs(contents.proofs);
}

function showSegments({ proofs, memory, segments }) {
  byId("in-segments").hidden = segments.length === 0;
  if (segments.length === 0) return;
  fill("segments-picture", segmentsPicture({ memory, segments }));
  const few = [{ ...memory, journalBytes: 0 }, ...segments].slice(0, SHOWN_SEGMENTS + 1);
  fill("segments", ...few.map(({ bytes, journalBytes, heights }, k) => {
    const rows = Object.values(heights);
    const numbers = [bytes, journalBytes, rows.length, rows.reduce((total, height) => total + height, 0)];
    return row(proofs[k].name, ...numbers.map((number) => number.toLocaleString("en")));
  }));
  const more = segments.length - SHOWN_SEGMENTS;
  byId("more-segments").textContent = more > 0 ? `and ${more.toLocaleString("en")} segments more` : "";
}

/** The choice of a proof whose tables are shown: the first segment at first. */
function showProofs(proofs) {
  state.proofs = proofs;
  byId("choose-part").hidden = proofs.length === 1;
  fill("part", ...proofs.map(({ name }, k) => new Option(name, String(k), false, k === Math.min(1, proofs.length - 1))));
  showTables();
}

function showTables() {
  const { tables } = state.proofs[Number(byId("part").value)];
  fill("buses-picture", busesPicture(tables, document.documentElement.clientWidth < PHONE));
  fill("tables", ...tables.map(({ name, height, columns, buses }) => {
    return row(name.replaceAll("_", " "), height.toLocaleString("en"), String(columns), buses.join(", "));
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
byId("program").addEventListener("change", ({ target }) => readProgram(target.files[0]));
byId("model").addEventListener("change", ({ target }) => readModelFile(target.files[0]));
byId("model-clear").addEventListener("click", () => {
  byId("model").value = "";
  readModelFile(undefined);
});
byId("trust").addEventListener("input", ({ target }) => {
  if (target.id === "image-id") forgetProgram();
  if (target.id === "policy") readPolicy(target.value);
  else if (target.type !== "file") verifyAgain();
});
byId("part").addEventListener("change", showTables);
byId("trust").addEventListener("submit", (event) => event.preventDefault());
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dragging", name === "dragover");
  });
}
document.addEventListener("drop", ({ dataTransfer }) => take(dataTransfer.files));
document.addEventListener("paste", ({ clipboardData }) => take(clipboardData.files));
document.documentElement.dataset.ready = "yes";
