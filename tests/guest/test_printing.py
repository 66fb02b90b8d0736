"""zkvm_printf against C's own rules (Python's % has the same for these) and assertions."""

from __future__ import annotations

import pytest

import zkvm
from tests.guest.compiled import compiled, needs_compiler

PRINTING = r"""#include <zkvm.h>
int main(void) {
    int32_t x = (int32_t)zkvm_read_u32();
    int total = zkvm_printf("%d|%i|%5d|%-5d|%05d|%*d|%u|%x|%X|%08x|%o|%c\n", x, x, x, x, x, 12, x, x, x, x, x, x, 'z');
    int64_t y = (int64_t)x * x * x;
    total += zkvm_printf("%lld|%llu|%llx|%024lld|%ld|%zu|%hd\n", y, y, y, y, (long)x, (size_t)x, 7);
    total += zkvm_printf("%s|%8s|%-8s|%.3s|%.0s|%%|%p", "text", "text", "text", "text", "text", (void *)0x1234);
    zkvm_commit_u32((uint32_t)total);
    return 0;
}
"""


def unsigned(value: int, bits: int = 32) -> int:
    return value % (1 << bits)


@needs_compiler
@pytest.mark.parametrize("x", [0, 1, -1, 42, -42, 99_999, -99_999, 2**31 - 1, -(2**31)])
def test_formats(x: int) -> None:
    elf = compiled(PRINTING)
    u, y = unsigned(x), (x**3 + 2**63) % 2**64 - 2**63
    expected = "%d|%d|%5d|%-5d|%05d|%12d|%u|%x|%X|%08x|%o|z\n" % (x, x, x, x, x, x, u, u, u, u, u)  # noqa: UP031
    expected += "%d|%d|%x|%024d|%d|%d|7\n" % (y, unsigned(y, 64), unsigned(y, 64), y, x, u)  # noqa: UP031
    expected += "text|    text|text    |tex||%|0x1234"
    session = zkvm.execute(elf, zkvm.ExecutorEnv().write_u32(x))
    assert session.stderr.decode() == expected
    assert session.journal == len(session.stderr).to_bytes(4, "little")


@needs_compiler
def test_long_texts_take_few_calls() -> None:
    source = '#include <zkvm.h>\nint main(void) { zkvm_printf("%s%s", "' + "a" * 200 + '", "' + "b" * 100 + '"); return 0; }\n'
    pieces: list[bytes] = []
    zkvm.execute(compiled(source), zkvm.ExecutorEnv(stderr=pieces.append))
    assert b"".join(pieces) == b"a" * 200 + b"b" * 100
    assert len(pieces) == 3


@needs_compiler
def test_assertions() -> None:
    elf = compiled("#include <zkvm.h>\n\nint main(void) {\n    zkvm_assert(zkvm_read_u32() < 10);\n    return 0;\n}\n")
    assert zkvm.execute(elf, (9).to_bytes(4, "little")).exit_code == 0
    failed = zkvm.execute(elf, (10).to_bytes(4, "little"))
    assert (failed.exit_code, failed.stderr) == (1, b"main.c:4: assertion failed: zkvm_read_u32() < 10\n")
