#!/usr/bin/env node
/** `zkvm-verify RECEIPT --image-id HEX` or `--elf PROGRAM`: accepts or rejects a receipt, with the exit codes of docs/command-line.md. */

import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { parseArgs } from "node:util";
import { computeImageId, readModel, UsageError, verdict } from "../index.js";
import { MAGIC_BYTES, mostBytes, tooLong } from "../src/receipt.js";

const ACCEPTED = 0, REJECTED = 1, USAGE = 2, BAD_INPUT = 3, INTERNAL = 70;
const CHUNK_BYTES = 2 ** 20;
const CLEAR = "\r\x1b[K";
const HELP = `Usage: zkvm-verify RECEIPT --image-id HEX | --elf PROGRAM [options]

Accept a receipt as the proof of a run of a program, or reject it with a reason.

  --image-id HEX        image ID of the program that you trust
  --elf PROGRAM         the program itself, an ELF file, whose image ID is computed: some seconds
  --model model.json    of a compiled model: refuse what is not its run, with its weights; show the journal's numbers
  --weights-digest HEX  published digest of a compiled model's private weights
  --min-security BITS   proven bits that you demand (100)
  --regime NAME         theorems that these bits may rest on: best, bciks20 or unique (best)
  --exit-code N         exit code that you accept (0)
  --max-segments N      segments that you accept, of a run that is proven in several (4096)
  --allow-dev           accept a dev receipt, which proves nothing
  --json                print one JSON object

Exit codes: 0 accepted, 1 rejected, 2 usage, 3 a file cannot be read.`;
const OPTIONS = {
  "image-id": { type: "string" },
  elf: { type: "string" },
  model: { type: "string" },
  "weights-digest": { type: "string" },
  "min-security": { type: "string", default: "100" },
  regime: { type: "string", default: "best" },
  "exit-code": { type: "string", default: "0" },
  "max-segments": { type: "string", default: "4096" },
  "allow-dev": { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
};

/** A file that is named cannot be read, or is not what it should be. */
class InputError extends Error {}

function parse(args) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error.message);
  }
}

function integer(text, name) {
  if (!/^-?\d{1,15}$/.test(text)) throw new UsageError(`--${name} needs an integer, not '${text}'`);
  return Number(text);
}

/** The bytes of a file, pipe or device; of one that is too long for a receipt no more than that is read. */
function readReceipt(path) {
  const file = openSync(path, "r"), chunks = [];
  let size = 0, most = Infinity;
  try {
    for (let count = 1; count > 0 && size <= most; size += count) {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      count = readSync(file, chunk, 0, CHUNK_BYTES, null);
      chunks.push(chunk.subarray(0, count));
      if (size < MAGIC_BYTES) most = mostBytes(Buffer.concat(chunks).subarray(0, MAGIC_BYTES));
    }
  } finally {
    closeSync(file);
  }
  if (size > most) throw new InputError(tooLong(most));
  return Buffer.concat(chunks);
}

function reading(path, read) {
  try {
    return read(path);
  } catch (error) {
    throw new InputError(`${path}: ${error.message}`);
  }
}

/** Overwrites one line of the terminal. */
function showProgress(phase, share) {
  process.stderr.write(`${CLEAR}verifying ${Math.floor(100 * share)} % ${phase}`);
}

/** The answer with the names that `zkvm verify --json` has. */
function asJson(answer, seconds) {
  if (!answer.accepted) return { ...answer, seconds };
  const { blowup, queries, exemptRows } = answer.parameters;
  const { output } = answer;
  const outputs = output && Object.entries(output.tensors).map(([name, { shape, values }]) => ({ name, shape, values: values.map(shown) }));
  return {
    accepted: true,
    image_id: answer.imageId,
    exit_code: answer.exitCode,
    journal: Buffer.from(answer.journal).toString("hex"),
    parameters: { blowup, queries, exempt_rows: exemptRows },
    security_bits: answer.securityBits,
    regime: answer.regime,
    bits_by_regime: answer.bitsByRegime,
    zk: answer.zk,
    dev: answer.dev,
    seconds,
    ...(output && { outputs, ...said(output) }),
  };
}

/** What a journal says beside its outputs, as far as it says it. */
function said({ label, labelName, saturated, digests }) {
  const entries = Object.entries({ label, label_name: labelName, saturated, digests: Object.keys(digests).length > 0 ? digests : null });
  return Object.fromEntries(entries.filter(([, value]) => value !== null));
}

/** JSON has no infinities and no NaN. */
function shown(value) {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

function print(answer, view, asObject) {
  if (asObject) {
    console.log(JSON.stringify(view));
  } else if (answer.accepted) {
    const regime = answer.regime === "best" ? "" : ` (${answer.regime})`;
    console.log(answer.dev ? "accepted as a DEV RECEIPT: nothing is proven" : "accepted");
    console.log(`image ID: ${view.image_id}\nexit code: ${view.exit_code}\njournal: ${view.journal}`);
    for (const name of ["outputs", "label", "label_name", "saturated", "digests"]) {
      if (view[name] !== undefined) console.log(`${name}: ${JSON.stringify(view[name])}`);
    }
    console.log(`security: ${view.security_bits} bits, proven${regime}\nzero knowledge: ${view.zk ? "yes" : "no"}`);
  } else {
    console.error(`zkvm-verify: rejected: ${answer.reason}: ${answer.detail}`);
  }
}

function main(args) {
  const { values, positionals } = parse(args);
  if (values.help) {
    console.log(HELP);
    return ACCEPTED;
  }
  if (positionals.length !== 1) throw new UsageError("name one receipt");
  const { elf, "image-id": imageId } = values;
  if (elf === undefined && imageId === undefined) {
    throw new UsageError("say which program the receipt must be for: --image-id HEX or --elf PROGRAM");
  }
  const data = reading(positionals[0], readReceipt);
  const model = values.model === undefined ? null : reading(values.model, (path) => readModel(readFileSync(path, "utf8")));
  const isShown = process.stderr.isTTY && !values.json, started = performance.now();
  const computed = elf === undefined ? [] : [reading(elf, (path) => computeImageId(readFileSync(path)))];
  const answer = verdict(data, {
    imageId: [...(imageId === undefined ? [] : [imageId]), ...computed],
    minSecurity: integer(values["min-security"], "min-security"),
    regime: values.regime,
    exitCode: integer(values["exit-code"], "exit-code"),
    allowDev: values["allow-dev"],
    maxSegments: integer(values["max-segments"], "max-segments"),
    model,
    weightsDigest: values["weights-digest"] ?? null,
    onProgress: isShown ? showProgress : undefined,
  });
  if (isShown) process.stderr.write(CLEAR);
  print(answer, asJson(answer, (performance.now() - started) / 1000), values.json);
  return answer.accepted ? ACCEPTED : REJECTED;
}

function run(args) {
  try {
    return main(args);
  } catch (error) {
    const code = error instanceof UsageError ? USAGE : error instanceof InputError ? BAD_INPUT : INTERNAL;
    const message = code === INTERNAL ? `internal error: ${error.message}` : error.message;
    if (args.includes("--json")) console.log(JSON.stringify({ error: message, exit_code: code }));
    console.error(`zkvm-verify: ${message}`);
    return code;
  }
}

process.exitCode = run(process.argv.slice(2));
