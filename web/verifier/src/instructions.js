/** RV32IM words -> rows of the program table, as docs/protocol.md lists them. */

const TWO_32 = 2 ** 32;
/** Where registers live on the memory bus, and where writes to x0 go. */
export const REGISTERS = TWO_32;
const SINK = REGISTERS + 32;
const ADDI = 3, MULI = 20, MULHUI = 21, MULHSUI = 22, TRAP = 45;

/** Opcode, funct3, funct7 (null: any) -> format and operation. */
const TABLE = [
  [0x37, null, null, "U", ADDI], [0x17, null, null, "U", ADDI], [0x6f, null, null, "J", 42], [0x67, 0, null, "JALR", 43],
  ...[[0, 6], [1, 7], [4, 8], [5, 9], [6, 10], [7, 11]].map(([funct3, op]) => [0x63, funct3, null, "B", op]),
  ...[[0, 36], [1, 38], [2, 4], [4, 37], [5, 39]].map(([funct3, op]) => [0x03, funct3, null, "I", op]),
  ...[[0, 40], [1, 41], [2, 5]].map(([funct3, op]) => [0x23, funct3, null, "S", op]),
  ...[[0, ADDI], [2, 14], [3, 15], [4, 31], [6, 30], [7, 29]].map(([funct3, op]) => [0x13, funct3, null, "I", op]),
  [0x13, 1, 0x00, "SHIFT", MULI], [0x13, 5, 0x00, "SHIFT", MULHUI], [0x13, 5, 0x20, "SHIFT", MULHSUI],
  ...[1, 23, 12, 13, 28, 24, 27, 26].map((op, funct3) => [0x33, funct3, 0x00, "R", op]),
  [0x33, 0, 0x20, "R", 2], [0x33, 5, 0x20, "R", 25],
  ...[16, 17, 18, 19, 32, 33, 34, 35].map((op, funct3) => [0x33, funct3, 0x01, "R", op]),
  [0x0f, 0, null, "FENCE", ADDI],
];
const ECALL = 0x73, EBREAK = 0x100073;

const key = (opcode, funct3, funct7) => (funct7 << 10) | (funct3 << 7) | opcode;
/** The same by opcode, funct3 and funct7: [format, operation]. */
const BY_KEY = new Map();
for (const [opcode, funct3, funct7, format, op] of TABLE) {
  for (let three = funct3 ?? 0; three <= (funct3 ?? 7); three++) {
    for (let seven = funct7 ?? 0; seven <= (funct7 ?? 127); seven++) BY_KEY.set(key(opcode, three, seven), [format, op]);
  }
}

/**
 * The row of an instruction: op, rd, rs1, rs2, imm, natural numbers below 2^33; null for a word that is not RV32IM.
 * @param {number} pc
 * @param {number} word
 */
export function programRow(pc, word) {
  if (word === ECALL) return [44, 0, 0, 0, 0];
  if (word === EBREAK) return [TRAP, 0, 0, 0, 0];
  const found = BY_KEY.get(key(word & 0x7f, (word >>> 12) & 7, word >>> 25));
  return found === undefined ? null : FIELDS[found[0]](found[1], pc, word);
}

const target = (word) => ((word >>> 7) & 31 ? REGISTERS + ((word >>> 7) & 31) : SINK);
const first = (word) => REGISTERS + ((word >>> 15) & 31);
const second = (word) => REGISTERS + ((word >>> 20) & 31);

/** By format; `word | 0` is the word as a signed number, whose shifts extend the sign. */
const FIELDS = {
  R: (op, pc, word) => [op, target(word), first(word), second(word), 0],
  I: (op, pc, word) => [op, target(word), first(word), 0, (word >> 20) >>> 0],
  JALR: (op, pc, word) => [op, target(word), first(word), pc + 4, (word >> 20) >>> 0],
  SHIFT: (op, pc, word) => {
    const amount = (word >>> 20) & 31;
    if (amount === 0) return [ADDI, target(word), first(word), 0, 0];
    return [op, target(word), first(word), 0, 2 ** (op === MULI ? amount : 32 - amount)];
  },
  S: (op, pc, word) => [op, 0, first(word), second(word), (((word >> 25) << 5) | ((word >>> 7) & 31)) >>> 0],
  B: (op, pc, word) => {
    const offset = ((word >> 31) << 12) | (((word >>> 7) & 1) << 11) | (((word >>> 25) & 63) << 5) | (((word >>> 8) & 15) << 1);
    return [op, 0, first(word), second(word), (pc + offset) >>> 0];
  },
  U: (op, pc, word) => {
    const isAuipc = (word & 0x7f) === 0x17;
    return [op, target(word), REGISTERS, 0, ((word & 0xfffff000) + (isAuipc ? pc : 0)) >>> 0];
  },
  J: (op, pc, word) => {
    const offset = ((word >> 31) << 20) | (((word >>> 12) & 255) << 12) | (((word >>> 20) & 1) << 11) | (((word >>> 21) & 1023) << 1);
    return [op, target(word), pc + 4, 0, (pc + offset) >>> 0];
  },
  FENCE: (op) => [op, SINK, REGISTERS, 0, 0],
};
