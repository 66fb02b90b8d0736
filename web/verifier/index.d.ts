/** Why a receipt is refused. */
export type Reason =
  | "FORMAT" | "POLICY" | "IMAGE_ID" | "CLAIM" | "MODEL" | "SHAPE" | "BUS" | "OOD" | "MERKLE" | "FRI" | "GRINDING";

/** Which theorems the proven bits may rest on. */
export type Regime = "best" | "bciks20" | "unique";

export const REASONS: readonly Reason[];

/** Base of every error of this package. */
export class ZkvmError extends Error {}

/** The caller's arguments make no sense. */
export class UsageError extends ZkvmError {}

/** A receipt is refused. */
export class VerificationError extends ZkvmError {
  readonly reason: Reason;
  readonly detail: string;
}

/** The bytes do not decode: thrown before any arithmetic. Its reason is FORMAT. */
export class FormatError extends VerificationError {}

/** What you trust, and what else you demand. */
export interface VerifyOptions {
  /** Image ID of the program that you trust: 64 hexadecimal digits or 32 bytes. If you give several, they must be equal. */
  imageId: string | Uint8Array | readonly (string | Uint8Array)[];
  /** Proven bits that you demand; 100 if not given. */
  minSecurity?: number;
  /** Theorems that these bits may rest on; "best" if not given. */
  regime?: Regime;
  /** The exit code that you accept; 0 if not given. */
  exitCode?: number;
  /** Accept a dev receipt, which proves nothing. */
  allowDev?: boolean;
  /** Segments that you accept, of a run that was proven in several, each a proof to verify; 4096 if not given. */
  maxSegments?: number;
  /** A compiled model, of `readModel`: what is not a run of it, with its weights, is refused. */
  model?: Model | null;
  /** Published digest of a compiled model's private weights, 64 hexadecimal digits, 0x may stand before them. */
  weightsDigest?: string | null;
  /**
   * Called with the phase that begins and the share of the work that is done; at the end with "" and 1. Of a run in segments a phase
   * begins with its part: "memory: trees", "segment 2 of 3: trees".
   */
  onProgress?: (phase: string, share: number) => void;
}

export interface Parameters {
  blowup: number;
  queries: number;
  exemptRows: number;
}

/** What an accepted receipt says: that the program ran to its exit and wrote this journal (of a dev receipt: nothing is proven). */
export interface Claim {
  /** 64 hexadecimal digits. */
  imageId: string;
  exitCode: number;
  journal: Uint8Array;
  parameters: Parameters;
  /**
   * Whole proven bits of this proof's shape under the regime that you demanded, of a run in segments those of all its proofs together;
   * 0 for a dev receipt.
   */
  securityBits: number;
  regime: Regime;
  bitsByRegime: Record<Regime, number>;
  /** The prover says that the proof hides its witness. */
  zk: boolean;
  dev: boolean;
  /** What the journal says, if you gave a model. */
  output?: Output;
}

export type Verdict = ({ accepted: true } & Claim) | { accepted: false; reason: Reason; detail: string };

/**
 * Accept a receipt as the proof of a run of a program, or throw.
 * @throws {VerificationError} with the reason of the first check that fails
 * @throws {UsageError} the options make no sense
 */
export function verify(data: Uint8Array | ArrayBuffer, options: VerifyOptions): Claim;

/**
 * As `verify`, but a refusal is an answer.
 * @throws {UsageError} the options make no sense
 */
export function verdict(data: Uint8Array | ArrayBuffer, options: VerifyOptions): Verdict;

/**
 * The image ID of a program, 64 hexadecimal digits, computed from its ELF file (`guest.elf`, or `model.elf` of a compiled model): some
 * seconds of work. Whoever has the program needs to believe nobody's image ID.
 * @throws {UsageError} it is no program of this machine
 */
export function computeImageId(
  program: Uint8Array | ArrayBuffer,
  options?: { onProgress?: (phase: string, share: number) => void },
): string;

/** One of several proofs. */
export interface PartContents {
  bytes: number;
  /** Rows of each table that is there, short to tall. */
  heights: Record<string, number>;
}

/** The proof of a segment. */
export interface SegmentContents extends PartContents {
  /** How many bytes it writes to the journal. */
  journalBytes: number;
}

/** What is inside a receipt. Nothing of it is verified. */
export interface Contents {
  imageId: string;
  exitCode: number;
  journal: Uint8Array;
  journalDigest: string;
  parameters: Parameters & { name: string; claimedBits: number };
  dev: boolean;
  zk: boolean;
  receiptBytes: number;
  machineDigest: string;
  /** Address of the program's first instruction. */
  entry: number;
  /** Rows of each table that is there, short to tall; empty for a dev receipt, and for a run in segments, whose proofs have their own. */
  heights: Record<string, number>;
  /** Of a run in segments, the proof of its memory; else null. */
  memory: PartContents | null;
  /** Of a run in segments, the proofs of these in order; else empty. */
  segments: SegmentContents[];
}

/**
 * Look into a receipt without verifying it.
 * @throws {FormatError} the bytes are no receipt
 */
export function inspect(data: Uint8Array | ArrayBuffer): Contents;

/** An input or output of a compiled model. */
export interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: "real" | "integer" | "boolean" | "float";
  /** null: the journal holds it. */
  readonly scale: number | null;
  readonly lo: number;
  readonly hi: number;
  /** Names of classes, if integers stand for them. */
  readonly labels: readonly string[];
}

/** What is public of a compiled model. */
export interface Model {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly weights: "public" | "private";
  readonly inputMode: "none" | "digest";
  readonly outputMode: "full" | "top1" | "digest";
  readonly saturation: "refuse" | "flag";
  /** The model card; it binds nobody. */
  readonly card: Record<string, unknown>;
  readonly weightsDigest: Uint8Array | null;
  /** What the guest commits to. */
  readonly digest: Uint8Array;
}

/** What a journal of a compiled model says. */
export interface Output {
  /** The outputs, if all are shown: row by row. */
  tensors: Record<string, { shape: number[]; values: (number | boolean | string)[] }>;
  /** The label, if only that is shown. */
  label: number | null;
  labelName: string | null;
  /** Hexadecimal: of private weights, of the input, of the output. */
  digests: { weights?: string; input?: string; output?: string };
  /** Whether a value was cut on the way; null: the run would have ended. */
  saturated: boolean | null;
}

/**
 * Read the content of a compiled model's `model.json`.
 * @throws {UsageError} it is none
 */
export function readModel(text: string): Model;

/**
 * What a journal of this model says.
 * @throws {VerificationError} MODEL, it is none of this model
 */
export function decodeJournal(model: Model, journal: Uint8Array): Output;
