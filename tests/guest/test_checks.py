"""Guests that are built with checks: what C leaves open panics with its place, and all else is as without."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import pytest

import zkvm
from tests.cli.running import invoke
from tests.guest.compiled import needs_compiler
from zkvm.errors import UsageError
from zkvm.guest.toolchain import build

SOURCE = r"""#include <string.h>
#include <zkvm.h>
static int table[4] = {1, 2, 3, 4};
__attribute__((noinline)) static int no_end(int a) { if (a < 5) __builtin_unreachable(); return a; }
int main(void) {
    uint32_t kind = zkvm_read_u32();
    volatile int32_t a = (int32_t)zkvm_read_u32(), b = (int32_t)zkvm_read_u32();
    char *volatile where = (char *)(uintptr_t)a;
    volatile double x = (double)a * 65536;
    int32_t result = 0;
    switch (kind) {
    case 0: result = a + b; break;
    case 1: result = a - b; break;
    case 2: result = a * b; break;
    case 3: result = a / b; break;
    case 4: result = a % b; break;
    case 5: result = -a; break;
    case 6: result = a << b; break;
    case 7: result = table[a]; break;
    case 8: result = *(int32_t *)where; break;
    case 9: result = (int32_t)x; break;
    case 10: result = __builtin_clz((unsigned)a); break;
    case 11: result = no_end(a); break;
    case 12: result = (int32_t)(intptr_t)(where + b); break;
    }
    zkvm_commit(&result, sizeof result);
    return 0;
}
"""
BIG, SMALL = 2**31 - 1, -(2**31)


@cache
def program(folder: Path, checks: bool) -> Path:
    (folder / "main.c").write_text(SOURCE)
    return build([folder / "main.c"], folder / f"{checks}.elf", checks=checks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checks")


@needs_compiler
@pytest.mark.parametrize(
    ("kind", "a", "b", "message"),
    [
        (0, BIG, 1, "signed integer overflow: addition"),
        (1, SMALL, 1, "signed integer overflow: subtraction"),
        (2, 65536, 65536, "signed integer overflow: multiplication"),
        (3, 1, 0, "division by zero"),
        (3, SMALL, -1, "division by zero, or of the smallest integer by -1"),
        (4, 1, 0, "division by zero"),
        (5, SMALL, 0, "signed integer overflow: negation"),
        (6, 1, 32, "shift by a negative number"),
        (6, 1, -1, "shift by a negative number"),
        (7, 4, 0, "index outside the array"),
        (7, -1, 0, "index outside the array"),
        (8, 0, 0, "access by a null or misaligned pointer"),
        (8, 0x10002, 0, "access by a null or misaligned pointer"),
        (9, BIG, 0, "a floating-point number that the integer type cannot hold"),
        (10, 0, 0, "zero, for which the count of bits is not defined"),
        (11, 4, 0, "code that must not be reached"),
        (12, 0x10000, -0x10001, "pointer arithmetic overflows"),
    ],
)
def test_what_c_leaves_open_panics(kind: int, a: int, b: int, message: str, folder: Path) -> None:
    elf, stdin = program(folder, True), struct.pack("<Iii", kind, a, b)
    session = zkvm.execute(elf, stdin)
    assert (session.exit_code, session.journal) == (1, b"")
    text = session.stderr.decode()
    line = next(i for i, line in enumerate(SOURCE.splitlines(), 1) if f"case {kind}:" in line or (kind == 11 and "unreachable" in line))
    assert text.startswith(f"main.c:{line}:")
    assert message in text
    assert zkvm.check(elf, stdin) == []


@needs_compiler
@pytest.mark.parametrize(
    ("kind", "a", "b", "result"),
    [
        (0, BIG, -1, BIG - 1),
        (2, -3, 7, -21),
        (3, -7, 2, -3),
        (4, -7, 2, -1),
        (5, BIG, 0, -BIG),
        (6, 3, 4, 48),
        (7, 3, 0, 4),
        (9, 2, 0, 131072),
    ],
)
def test_all_else_is_as_without(kind: int, a: int, b: int, result: int, folder: Path) -> None:
    stdin = struct.pack("<Iii", kind, a, b)
    for checks in (False, True):
        session = zkvm.execute(program(folder, checks), stdin)
        assert (session.exit_code, session.journal, session.stderr) == (0, struct.pack("<i", result), b"")


@needs_compiler
def test_the_place_does_not_name_folders(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(SOURCE)
    again = build([tmp_path / "main.c"], tmp_path / "again.elf", checks=True)
    assert again.read_bytes() == program(folder, True).read_bytes()


@needs_compiler
def test_checks_with_the_library_of_cpp(tmp_path: Path) -> None:
    source = "#include <algorithm>\n#include <string>\n#include <vector>\n#include <zkvm.h>\nint main() {\n"
    source += "    std::vector<int> v(5);\n    zkvm_read_exact(v.data(), 20);\n    std::sort(v.begin(), v.end());\n"
    source += "    std::string text = std::to_string(v[0] + v[4]);\n    zkvm_commit(text.data(), text.size());\n    return 0;\n}\n"
    (tmp_path / "main.cpp").write_text(source)
    elf = build([tmp_path / "main.cpp"], tmp_path / "guest.elf", checks=True)
    assert zkvm.execute(elf, struct.pack("<5i", 3, 9, -2, 5, 4)).journal == b"7"
    failed = zkvm.execute(elf, struct.pack("<5i", 3, BIG, 1, 5, 4))
    assert (failed.exit_code, failed.stderr) == (1, b"main.cpp:9:44: signed integer overflow: addition\n")


def test_checks_need_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    with pytest.raises(UsageError, match="checks need the runtime"):
        build([tmp_path / "main.c"], tmp_path / "out.elf", checks=True, runtime=False)


PANICS = """#include <zkvm.h>
static int parse(uint32_t x) { zkvm_assert(x < 5); return (int)x; }
__attribute__((noinline)) int outer(uint32_t x) { return parse(x) + 1; }
int main(void) { return outer(zkvm_read_u32()) - 4; }
"""


@needs_compiler
def test_a_panic_shows_the_calls_that_lead_there(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(PANICS)
    elf = build([tmp_path / "main.c"], tmp_path / "guest.elf", debug_lines=True)
    assert zkvm.profile(elf, struct.pack("<I", 3)).ending == ()
    ending = zkvm.profile(elf, struct.pack("<I", 9)).ending
    names = [(frame.function.partition("+")[0], frame.line, frame.inlined) for frame in ending if frame.file == "main.c"]
    assert names == [("parse", 2, True), ("outer", 3, False), ("main", 4, False)]
    assert "zkvm_panic" in [frame.function.partition("+")[0] for frame in ending]
    (tmp_path / "nine").write_bytes(struct.pack("<I", 9))
    outcome = invoke("run", elf, "--execute-only", "--input", tmp_path / "nine")
    assert outcome.code == 1
    assert "  call stack, innermost first:\n" in outcome.out
    assert "outer" in outcome.out
    frames = invoke("run", elf, "--execute-only", "--input", tmp_path / "nine", "--json").json["frames"]
    assert [frame["function"].partition("+")[0] for frame in frames][-2:] == ["main", "_start"]


@needs_compiler
def test_options_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "main.cpp").write_text("#include <cstdio>\nint main() { try { throw 5; } catch (int i) { return i; } }\n")
    (tmp_path / "main.c").write_text("#include <stdio.h>\nint main(void) { return 0; }\n")
    out = tmp_path / "guest.elf"
    assert "exceptions need --exceptions" in invoke("build", tmp_path / "main.cpp", "-o", out).err
    assert "--libc none" in invoke("build", tmp_path / "main.c", "-o", out, "--libc", "none").err
    assert "choose musl or none" in invoke("build", tmp_path / "main.c", "-o", out, "--libc", "glibc").err
    assert invoke("build", tmp_path / "main.c", "-o", out, "--checks").code == 0
    assert zkvm.execute(out).exit_code == 0
