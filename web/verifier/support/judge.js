/**
 * Answers questions of the Python tests: `node judge.js` reads frames from standard input and writes one line of JSON for each.
 *
 * A frame is the length of a question (4 bytes) and of its data (4 bytes), then both; the question is JSON:
 *
 *     {kind: "receipt", options}                              what the verifier says of a receipt
 *     {kind: "image"}                                         the image of a program: hashes of its own tables, and the rest of its header
 *     {kind: "image id"}                                      its image ID
 *     {kind: "machine", name, facts, maxRows}                 the data is a machine's text; later questions may name it
 *     {kind: "seal", machine, statement, policy, draws}       what it says of a seal, with the challenges of `draws` if there are any
 *     {kind: "joint", statement, parts, policy, draws}        what it says of joined proofs; each part has a machine and a statement,
 *                                                             `draws` an entry for each transcript, in order
 *     {kind: "journal", model, weightsDigest}                 what a journal says of a model
 *     {kind: "bits", parameters, logs, tuples}                proven bits of a shape, under each regime
 *     {kind: "joined bits", parameters, parts, tuples}        the same of joined proofs; each part has a machine, logs and tuples
 */

import { readSync, writeSync } from "node:fs";
import { computeImageId, verdict } from "../index.js";
import { blake3, bytes, check, elf, errors, field, image, joint, machine, model } from "../internals.js";
import { parameters, seal, security, shape, transcript, verify } from "../internals.js";

/** The real transcript, but challenges of a recorded run take the place of those that are drawn; asks for no work. */
class Replay extends transcript.Transcript {
  constructor(domain, draws) {
    super(domain);
    this.draws = draws;
  }

  drawElement(label) {
    const drawn = super.drawElement(label);
    return label in this.draws ? field.element(...this.draws[label]) : drawn;
  }

  drawPositions(label, count, bound) {
    const drawn = super.drawPositions(label, count, bound);
    return label in this.draws ? this.draws[label] : drawn;
  }

  checkWork(label, nonce) {
    this.absorb(label, 19, nonce);
  }
}

const machines = new Map(Object.values(check.machines()).map((own) => [own.name, own]));

const answers = {
  receipt: ({ options }, data) => {
    const answer = verdict(data, options);
    return answer.accepted ? { ...answer, journal: bytes.hex(answer.journal) } : answer;
  },
  image: (question, data) => {
    const { tables, entry, stackPointer, gaps } = image.imageOf(elf.readElf(data));
    const digest = ({ columns }) => bytes.hex(blake3.blake3(bytes.concat(...columns.map(bytes.bytes32))));
    const own = [...tables].filter(([name]) => name !== "range");
    const hashes = own.map(([name, table]) => [name, [table.height, digest(table)]]);
    return { entry, stackPointer, gaps, tables: Object.fromEntries(hashes) };
  },
  "image id": (question, data) => ({ imageId: computeImageId(data) }),
  machine: ({ name, facts, maxRows }, data) => {
    machines.set(name, machine.readMachine({ text: new TextDecoder().decode(data), facts, maxRows }));
    return { digest: bytes.hex(machines.get(name).digest) };
  },
  seal: (question, data) => {
    const known = machines.get(question.machine);
    const recorded = question.draws === null ? undefined : new Replay(verify.DOMAIN, question.draws);
    const statement = statementOf(question.statement, known);
    verify.verifySeal(known, statement, seal.decodeSeal(known, data), question.policy, { transcript: recorded });
    return { accepted: true };
  },
  joint: ({ statement, parts, policy, draws }, data) => {
    const reader = new bytes.Reader(data);
    const proofs = parts.map((own) => seal.readPart(machines.get(own.machine), reader));
    reader.end();
    const statements = parts.map((own) => statementOf(own.statement, machines.get(own.machine)));
    const together = { fields: fieldsOf(statement.fields), closings: closingsOf(statement.closings) };
    let begun = 0;
    const begin = draws === null ? undefined : (domain) => new Replay(domain, draws[begun++] ?? {});
    joint.verifyJoint(together, statements, proofs, policy, () => {}, begin);
    return { accepted: true };
  },
  journal: ({ model: text, weightsDigest }, data) => {
    const read = model.readModel(text);
    if (weightsDigest !== null) model.checkWeights(data, model.digestBytes(weightsDigest, "weights"));
    return { digest: bytes.hex(read.digest), output: model.checkJournal(read, data) };
  },
  bits: ({ parameters: numbers, logs, tuples }) => {
    const sizes = new shape.Shape(check.machine(), parameters.knownSet(...numbers), logs);
    return { bits: parameters.REGIMES.map((regime) => security.provenBits(sizes, tuples, regime)) };
  },
  "joined bits": ({ parameters: numbers, parts, tuples }) => {
    const shapes = parts.map((own) => new shape.Shape(machines.get(own.machine), parameters.knownSet(...numbers), own.logs));
    const ownTuples = parts.map((own) => own.tuples);
    return { bits: parameters.REGIMES.map((regime) => security.joinedBits(shapes, ownTuples, tuples, regime)) };
  },
};

function statementOf({ fields, heights, root, closings }, known) {
  return {
    fields: fieldsOf(fields),
    fixedLogs: known.chips.map((chip, k) => (chip.widths[0] > 0 ? Math.log2(Math.max(heights[k], 1)) : null)),
    preprocessedRoot: bytes.fromHex(root),
    closings: closingsOf(closings),
  };
}

function fieldsOf(fields) {
  return fields.map(([label, text]) => [label, bytes.fromHex(text)]);
}

function closingsOf(closings) {
  return closings.map(({ bus, sent, tuples }) => ({ bus, sent, count: tuples.length, words: (k) => tuples[k] }));
}

function answerTo(question, data) {
  try {
    return answers[question.kind](question, data);
  } catch (error) {
    if (error instanceof errors.VerificationError) return { accepted: false, reason: error.reason, detail: error.detail };
    if (error instanceof errors.UsageError) return { usage: error.message };
    return { crash: String(error.stack) };
  }
}

function read(length) {
  const buffer = new Uint8Array(length);
  for (let filled = 0; filled < length; ) {
    const count = readSync(0, buffer, filled, length - filled, null);
    if (count === 0) return null;
    filled += count;
  }
  return buffer;
}

for (let head = read(8); head !== null; head = read(8)) {
  const view = new DataView(head.buffer);
  const question = JSON.parse(new TextDecoder().decode(read(view.getUint32(0, true))));
  const answer = answerTo(question, read(view.getUint32(4, true)));
  writeSync(1, `${JSON.stringify(answer, (_, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value))}\n`);
}
