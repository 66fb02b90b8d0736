#!/bin/sh
# Software:   ziglang 0.17.1 (Clang 22 and Zig's compiler_rt), Python 3.11, Linux x86-64
# Guess:      on a riscv32 processor without the A extension the compiler calls __atomic_fetch_add_4 and its like, and the runtime
#             library that it links on its own does the work, with a lock or without.
# Behaviour:  in that library the functions for 1, 2 and 4 bytes call themselves, without end: the program uses up its stack at the first atomic addition.
# Seen:       calls itself: fetch_add_1 fetch_add_2 fetch_add_4
# Here:       guests get plain loads and stores under these names (zkvm/guest/runtime/atomics.c): they have one thread.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/python" -m pip install --quiet 'ziglang==0.17.1' 'pyelftools==0.32' || exit 2
cd "$folder"
cat > use.c <<'SOURCE'
char one;
short two;
int four;
void _start(void) {
    __atomic_fetch_add(&one, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&two, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&four, 1, __ATOMIC_SEQ_CST);
    for (;;) {}
}
SOURCE
venv/bin/python -m ziglang cc --target=riscv32-freestanding-none -mcpu=generic_rv32+m -O2 -w -fno-sanitize=all use.c -o use.elf
cat > look.py <<'SOURCE'
from elftools.elf.elffile import ELFFile

elf = ELFFile(open("use.elf", "rb"))
text, symbols = elf.get_section_by_name(".text"), elf.get_section_by_name(".symtab")
base, code = text["sh_addr"], text.data()


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


found = []
for symbol in symbols.iter_symbols():
    if not symbol.name.startswith("__atomic_fetch_add_"):
        continue
    start, targets, pair = symbol["st_value"], [], None
    for pc in range(start, start + symbol["st_size"], 4):
        word = int.from_bytes(code[pc - base : pc - base + 4], "little")
        if word & 0x7F == 0x6F:  # jal
            imm = (word >> 31) << 20 | (word >> 12 & 0xFF) << 12 | (word >> 20 & 1) << 11 | (word >> 21 & 0x3FF) << 1
            targets.append(pc + signed(imm, 21))
        if word & 0x7F == 0x67 and pair is not None:  # jalr behind auipc
            targets.append(pair + signed(word >> 20, 12))
        pair = pc + signed(word & 0xFFFFF000, 32) if word & 0x7F == 0x17 else None
    if start in targets:
        found.append(symbol.name.removeprefix("__atomic_"))
print("calls itself:", *sorted(found))
SOURCE
seen=$(venv/bin/python look.py)
echo "$seen"
[ "$seen" = "calls itself: fetch_add_1 fetch_add_2 fetch_add_4" ]
