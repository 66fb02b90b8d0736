/** ELF files as far as an image needs them: the loadable segments and the entry. Sections are not looked at. */

import { UsageError } from "./errors.js";

const MAGIC = [0x7f, 0x45, 0x4c, 0x46];
const HEADER_BYTES = 52, PROGRAM_HEADER_BYTES = 32, MAX_PROGRAM_HEADERS = 2 ** 10;
const CLASS_32 = 1, LITTLE_ENDIAN = 1, EXECUTABLE = 2, RISC_V = 243;
/** Compressed code, floating-point calling convention, 16 registers. */
const UNKNOWN_FLAGS = 0x1 | 0x6 | 0x8;
const LOAD = 1, DYNAMIC = 2, INTERPRETER = 3;
const CAN_EXECUTE = 1, CAN_WRITE = 2, KIND_SHIFT = 20, KIND_MASK = 0xff;
const MAX_SEGMENT_BYTES = 2 ** 30, MAX_DATA_BYTES = 2 ** 28;
export const MAX_ELF_BYTES = 2 ** 30;

function requireThat(condition, message) {
  if (!condition) throw new UsageError(`no program of this machine: ${message}`);
}

/**
 * A loadable segment: `data` at byte `address`, then zeros up to `size` bytes. `kind` says which constants of tensor calls it holds.
 * @typedef {{address: number, data: Uint8Array, size: number, end: number, writable: boolean, executable: boolean, kind: number}} Segment
 */

/**
 * The entry and the segments of a program, those without a byte left out, by address.
 * @param {Uint8Array} file
 * @returns {{entry: number, segments: Segment[]}}
 * @throws {UsageError} not a static little-endian RV32IM executable
 */
export function readElf(file) {
  requireThat(MAGIC.every((byte, k) => file[k] === byte), "it does not begin as ELF files do");
  requireThat(file.length >= HEADER_BYTES && file.length <= MAX_ELF_BYTES, `${file.length} bytes are too few or too many`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  requireThat(file[4] === CLASS_32 && file[5] === LITTLE_ENDIAN, "it is not of 32 bits, least significant byte first");
  requireThat(view.getUint16(16, true) === EXECUTABLE, "it is not a static executable");
  requireThat(view.getUint16(18, true) === RISC_V, "it is not built for RISC-V");
  requireThat((view.getUint32(36, true) & UNKNOWN_FLAGS) === 0, "built for other instructions than RV32IM, or another ABI than ilp32");
  const count = view.getUint16(44, true), first = view.getUint32(28, true);
  requireThat(count <= MAX_PROGRAM_HEADERS, `${count} program headers`);
  requireThat(count === 0 || view.getUint16(42, true) === PROGRAM_HEADER_BYTES, "program headers of an unknown length");
  requireThat(count === 0 || first + PROGRAM_HEADER_BYTES * count <= file.length, "truncated");
  const segments = [];
  for (let k = 0, data = 0; k < count; k++) {
    const segment = readSegment(view, first + PROGRAM_HEADER_BYTES * k, file, `segment ${k}`);
    if (segment === null) continue;
    data += segment.data.length;
    requireThat(data <= MAX_DATA_BYTES, "too much data");
    segments.push(segment);
  }
  requireThat(segments.length > 0, "it has no loadable segments");
  return { entry: view.getUint32(24, true), segments: segments.filter(({ size }) => size > 0).sort((a, b) => a.address - b.address) };
}

/** A segment; null for one that is not loaded. */
function readSegment(view, at, file, name) {
  const [type, offset, address, , dataSize, size, flags] = [0, 4, 8, 12, 16, 20, 24].map((field) => view.getUint32(at + field, true));
  requireThat(type !== INTERPRETER && type !== DYNAMIC, "it is dynamically linked");
  if (type !== LOAD) return null;
  requireThat(offset + dataSize <= file.length, `${name} reaches past the end of the file`);
  requireThat(dataSize <= size && size <= MAX_SEGMENT_BYTES, `${name} has ${dataSize} bytes of data, and ${size} in memory`);
  return {
    address, size,
    end: address + size,
    data: file.subarray(offset, offset + dataSize),
    writable: (flags & CAN_WRITE) !== 0,
    executable: (flags & CAN_EXECUTE) !== 0,
    kind: (flags >>> KIND_SHIFT) & KIND_MASK,
  };
}
