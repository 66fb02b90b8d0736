import type { Verdict, VerifyOptions } from "./index.js";

/** A verifier in a thread of its own: a worker of the browser, or a thread of Node. */
export class VerifierWorker {
  constructor();
  /**
   * As `verdict`, but a promise.
   * Rejected with a UsageError if the options make no sense, and with a ZkvmError if the thread was ended.
   */
  verdict(data: Uint8Array | ArrayBuffer, options: VerifyOptions): Promise<Verdict>;
  /** As `computeImageId`, but a promise. Rejected with a UsageError if the file is no program. */
  computeImageId(
    program: Uint8Array | ArrayBuffer,
    options?: { onProgress?: (phase: string, share: number) => void },
  ): Promise<string>;
  /** End the thread; what is not answered yet is rejected. A later call starts another one. */
  terminate(): void;
}
