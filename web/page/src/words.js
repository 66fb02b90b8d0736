/** What the page says: reasons of a refusal, and what a receipt proves, hides and shows. */

const DAMAGED = "It is forged or damaged.";

/** For each reason what it means, and what to do. */
export const REASONS = {
  FORMAT: ["This file is not a receipt of this version.", "Ask for the file again, or use the page of the version that made it."],
  IMAGE_ID: [
    "The receipt is for another program than the one you trust.",
    "Compare the image IDs. If you did not expect another program, do not accept it.",
  ],
  CLAIM: ["The parts of the receipt contradict each other.", "It was changed after it was made. Ask for it again."],
  POLICY: [
    "The receipt is not what you demand.",
    "Change what you demand only if you know why: another exit code, fewer proven bits, more segments, or no proof at all.",
  ],
  MODEL: [
    "The journal is not one of this model, or the private weights are others than the published ones.",
    "Check that you have the model file of this image ID.",
  ],
  SHAPE: ["The proof has sizes that no honest proof has.", DAMAGED],
  BUS: ["The proof does not hold: its tables do not fit together.", "It is forged, damaged, or made for another statement."],
  OOD: ["The proof does not hold: a rule of the machine is broken.", DAMAGED],
  GRINDING: ["The proof does not hold: the work that it must show is missing.", DAMAGED],
  MERKLE: ["The proof does not hold: opened rows are not those that were committed to.", DAMAGED],
  FRI: ["The proof does not hold: the low-degree test fails.", DAMAGED],
};

/** The first bytes of files that people drop by mistake, and what they are. */
const FOREIGN = [
  [[0x7f, 0x45, 0x4c, 0x46], "It looks like a program (an ELF file). It belongs under the image ID, which is computed from it."],
  [[0x7b], "It looks like JSON. A model.json belongs under \u201cA compiled model\u201d, a policy under \u201cWhat else you demand\u201d."],
  [[0x50, 0x4b, 0x03, 0x04], "It looks like an archive (ZIP). Unpack it first."],
  [[0x1f, 0x8b], "It looks like a compressed file (gzip). Unpack it first."],
];

/** What a file that is no receipt may be, by its first bytes; null if nobody knows. */
export function foreign(head) {
  if (head.length === 0) return "It is empty.";
  return FOREIGN.find(([magic]) => magic.every((byte, k) => head[k] === byte))?.[1] ?? null;
}

/** What a refusal may mean besides, of a run in segments; null: nothing more. */
export function ofSegments(reason) {
  if (reason !== "BUS") return null;
  return "Perhaps segments were left out, exchanged or repeated, or come from different runs: their proofs are joined, and do not fit.";
}

function counted(number, one, many) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** Sentences on what an accepted receipt proves. */
export function proves({ journal, exitCode, securityBits, dev }, { segments }) {
  if (dev) {
    return [
      "Nothing. This is a dev receipt: it only says what somebody's run did, and anybody can write one.",
      "It was accepted because you allowed it.",
    ];
  }
  const sentences = [
    "The program with this image ID, run from its start on some input, " +
      `wrote exactly the ${counted(journal.length, "byte", "bytes")} below and ended with exit code ${exitCode}.`,
  ];
  if (segments.length > 0) {
    sentences.push(
      `The run was proven in ${counted(segments.length, "segment", "segments")}, each by a proof of its own, and its memory by one more. ` +
        "Every segment begins in the state and with the memory in which the one before it ended; none is missing.",
    );
  }
  sentences.push(
    "Whoever made the receipt knew such an input. " +
      `A false proof that somebody tries t times is accepted with a probability of at most t / 2^${securityBits}.`,
  );
  return sentences;
}

/** Sentences on what no receipt proves. */
export const DOES_NOT_PROVE = [
  "That the program is right, or does what you think: for that, read it and compute its image ID yourself.",
  "Which input was used, when the run happened, or that it happened only once, unless the program writes that into the journal.",
];

/** Sentences on what stays hidden. */
export function hidden({ zk, dev }) {
  if (dev) return ["A dev receipt holds no proof, so there is nothing in it to hide: input and memory are not part of it."];
  if (!zk) return ["Not promised: the receipt was made without zero knowledge, so the proof may tell something about the input."];
  return ["The input, the memory, and every step of the run. (That the randomness was good is the prover's word; nobody can check it.)"];
}

/** Sentences on what shows. */
export function shows({ dev, proofs, segments }) {
  const always = "The program's image ID, the journal and the exit code.";
  if (dev) return [always];
  const profile = "roughly how often each kind of instruction ran";
  if (segments.length === 0) return [always, `The heights of ${proofs[0].tables.length} tables: ${profile}.`];
  return [
    always,
    `That there were ${counted(segments.length, "segment", "segments")}, and how many bytes of the journal each wrote.`,
    `The heights of each segment's tables: ${profile} in it, and how much memory it touched.`,
  ];
}

/** What the outputs of a model mean. */
export function outputNote({ saturated }) {
  if (saturated) return "A value was cut on the way: these outputs are not the model's.";
  return saturated === false ? "No value was cut on the way." : "";
}
