"""C++ guests: the language without its library, and what runs before main."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import zkvm
from tests.guest.compiled import compiled, needs_compiler
from tools.emulator import emulate
from zkvm.errors import GuestError
from zkvm.guest.toolchain import build

CPP = r"""#include <zkvm.h>
namespace {
template <typename T, int n> struct Numbers {
    T items[n];
    constexpr T total() const { T sum = 0; for (T item : items) sum += item; return sum; }
};
struct Shape { virtual uint32_t area() const = 0; };
struct Square : Shape {
    uint32_t side;
    explicit Square(uint32_t length) : side(length) {}
    uint32_t area() const override { return side * side; }
};
constexpr Numbers<uint32_t, 3> numbers{{1, 2, 3}};
}
int main() {
    Square square(zkvm_read_u32());
    const Shape &shape = square;
    zkvm_assert(square.side < 10);
    zkvm_commit_u32(numbers.total() + shape.area());
    return 0;
}
"""
CONSTRUCTORS = r"""#include <zkvm.h>
struct Mark { explicit Mark(uint32_t number) { zkvm_commit_u32(number); } };
Mark fifth(5);
__attribute__((constructor(3000))) static void fourth() { zkvm_commit_u32(4); }
__attribute__((init_priority(2000))) Mark third(3);
__attribute__((init_priority(200))) Mark second(2);
static void first() { zkvm_commit_u32(1); }
__attribute__((used, section(".preinit_array"))) static void (*const earliest)() = first;
struct Table {
    uint32_t squares[4];
    Table() { for (uint32_t &square : squares) { uint32_t x = zkvm_read_u32(); square = x * x; } }
    ~Table() { zkvm_log("destroyed"); }
};
Table table;
int main() {
    static Table local;
    zkvm_commit(table.squares, sizeof table.squares);
    zkvm_commit(local.squares, sizeof local.squares);
    return 0;
}
"""


@needs_compiler
def test_classes_templates_and_virtual_functions() -> None:
    elf = compiled(CPP, name="main.cpp")
    assert zkvm.check(elf, (3).to_bytes(4, "little")) == []
    assert zkvm.execute(elf, (3).to_bytes(4, "little")).journal == (15).to_bytes(4, "little")
    failed = zkvm.execute(elf, (12).to_bytes(4, "little"))
    line = next(number for number, text in enumerate(CPP.splitlines(), 1) if "zkvm_assert" in text)
    assert (failed.exit_code, failed.journal) == (1, b"")
    assert failed.stderr == f"main.cpp:{line}: assertion failed: square.side < 10\n".encode()


@needs_compiler
@pytest.mark.parametrize("optimization", ["0", "3"])
def test_constructors_run_before_main_and_destructors_never(optimization: str, tmp_path: Path) -> None:
    elf, stdin = compiled(CONSTRUCTORS, name="main.cpp", optimization=optimization), struct.pack("<8I", *range(8))
    expected = struct.pack("<13I", 1, 2, 3, 4, 5, *(x * x for x in range(8)))
    session = zkvm.execute(elf, stdin)
    assert (session.journal, session.stdout, session.exit_code) == (expected, b"", 0)
    assert zkvm.check(elf, stdin) == []
    (tmp_path / "g.elf").write_bytes(elf)
    seen = emulate(tmp_path / "g.elf", stdin)
    assert (seen.journal, seen.cycles) == (expected, session.cycles)


@needs_compiler
def test_a_table_of_constructors_that_nobody_calls_is_refused(tmp_path: Path) -> None:
    source = '#include <zkvm.h>\nstatic void f() {}\n__attribute__((used, section(".ctors"))) static void (*const entry)() = f;\n'
    (tmp_path / "main.cpp").write_text(source + "int main() { return 0; }\n")
    with pytest.raises(GuestError, match=r"constructors in \.ctors are not called"):
        build([tmp_path / "main.cpp"], tmp_path / "out.elf")
