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
    "Change what you demand only if you know why: another exit code, fewer proven bits, or no proof at all.",
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

/** Sentences on what an accepted receipt proves. */
export function proves({ journal, exitCode, securityBits, dev }) {
  if (dev) {
    return [
      "Nothing. This is a dev receipt: it only says what somebody's run did, and anybody can write one.",
      "It was accepted because you allowed it.",
    ];
  }
  const length = journal.length === 1 ? "1 byte" : `${journal.length.toLocaleString("en")} bytes`;
  return [
    "The program with this image ID, run from its start on some input, " +
      `wrote exactly the ${length} below and ended with exit code ${exitCode}.`,
    "Whoever made the receipt knew such an input. " +
      `A false proof that somebody tries t times is accepted with a probability of at most t / 2^${securityBits}.`,
  ];
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
export function shows({ dev, tables }) {
  const always = "The program's image ID, the journal and the exit code.";
  if (dev) return [always];
  return [always, `The heights of ${tables.length} tables: roughly how often each kind of instruction ran.`];
}

/** What the outputs of a model mean. */
export function outputNote({ saturated }) {
  if (saturated) return "A value was cut on the way: these outputs are not the model's.";
  return saturated === false ? "No value was cut on the way." : "";
}
