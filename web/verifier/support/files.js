/** Files of the repository that tests read. */

import { readFileSync } from "node:fs";

const TESTS = new URL("../../../tests/", import.meta.url);

export function bytesOf(path) {
  return new Uint8Array(readFileSync(new URL(path, TESTS)));
}

export function jsonOf(path) {
  return JSON.parse(readFileSync(new URL(path, TESTS), "utf8"));
}

/** Receipts of earlier provers, by name: what each says, and its bytes. */
export const FROZEN = Object.entries(jsonOf("compat/receipts.json").receipts).map(([name, expected]) => {
  return { name, expected, data: bytesOf(`compat/${name}.receipt`) };
});

export const HELLO = FROZEN.find(({ name }) => name === "hello-compact-100");
export const DEV = FROZEN.find(({ expected }) => expected.dev);

/** A run in segments, which writes "hello", without randomness. */
const composite = jsonOf("vectors/segments.json");
export const COMPOSITE = { imageId: composite["image id"], segments: composite.segments, data: bytesOf("vectors/segments.receipt") };

/** A network in tensor calls, so that there are sums, without randomness. */
export const TENSORS = { imageId: jsonOf("vectors/tensors.json")["image id"], data: bytesOf("vectors/tensors.receipt") };
