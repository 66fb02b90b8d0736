"""The C library: formats, numbers, memory, what it does without an operating system, and what does not link."""

from __future__ import annotations

import math
import random
import struct
from functools import cache
from pathlib import Path

import pytest

import zkvm
from tests.guest.compiled import compiled, needs_compiler
from zkvm.errors import GuestError, UsageError
from zkvm.guest.toolchain import build
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

SOURCES = Path(__file__).resolve().parent / "library"
NUMBERS = [0.0, 1.0, -1.5, 0.1, 3.141592653589793, 123456.789, -1e-7, 2.5e10, 1e22, 7.25]
BRK = 214
pytestmark = needs_compiler


def text_of(name: str, stdin: bytes = b"") -> zkvm.Session:
    return zkvm.execute(compiled((SOURCES / name).read_text(), name=name), stdin)


@cache
def lines() -> dict[str, list[str]]:
    """What formats.c says, by the first word of each line."""
    session = text_of("formats.c", "".join(f"{x!r}\n" for x in NUMBERS).encode())
    assert session.exit_code == 8
    assert session.stderr == b""
    found: dict[str, list[str]] = {}
    for line in session.stdout.decode().splitlines():
        name, _, rest = line.partition(" ")
        found.setdefault(name, []).append(rest)
    return found


def test_printf_writes_doubles_as_python_does() -> None:
    for x, line in zip(NUMBERS, lines()["double"], strict=True):
        *decimal, hexadecimal = ("%.17g|%f|%e|%g" % (x, x, x, x)).split("|") + [float.hex(x)]  # noqa: UP031
        rest = "%10.3f|%-12.1e|%+g|%#.0f" % (x, x, x, x)  # noqa: UP031
        fields = line.split("|")
        assert [*fields[:4], *fields[5:]] == [*decimal, *rest.split("|")]
        assert float.fromhex(fields[4]) == float.fromhex(hexadecimal)


def test_mathematics() -> None:
    for x, exact, near in zip(NUMBERS, lines()["math"], lines()["near"], strict=True):
        away = math.copysign(math.floor(abs(x) + 0.5), x)
        expected = [math.sqrt(abs(x)), math.floor(x), away, math.fmod(x, 7), math.ldexp(x, 3), math.trunc(x)]
        assert [float.fromhex(field) for field in exact.split()] == expected
        values = [math.sin(x), math.exp(-abs(x)), math.log1p(abs(x)), math.atan2(x, 2), math.copysign(abs(x) ** (1 / 3), x)]
        assert [float(field) for field in near.split()] == pytest.approx(values, rel=1e-14, abs=1e-300)


def test_strings_numbers_and_clocks() -> None:
    found = lines()
    assert found["word"] == ["one", "two", "three"]
    assert found["string"] == ["needle here 1 2 cdef"]
    assert found["scan"] == ["3 12 31 rest"]
    assert found["case"] == ["Xq 1 0"]
    assert found["integers"] == [f"{-(2**63)} {2**64 - 1} -3 4 4 44"]
    assert found["range"] == [f"{2**31 - 1} 1"]
    assert found["file"] == ["1 Function not implemented"]
    assert found["clock"] == ["1 -1"], "instructions are counted, and nobody knows the time"
    assert found["clocks"] == ["0 -1"]
    assert found["date"] == ["2023-11-14 22:13:20 Tue 1700000000"]
    assert found["terminal"] == ["0 environment 0"]
    assert "characters 3 text" in found["wide"]


def test_jumps_atomics_thread_locals_arguments_and_the_end() -> None:
    assert lines()["rest"] == [f"3 {5 + 2**40} 2 7 0 1"]
    assert lines()["unterminatedend"] == ["after main"], "what is in a buffer is written when main returns"


ZEROS = r"""#include <zkvm.h>
static _Thread_local uint32_t count, many[30];
static uint32_t after = 7, table[3] = {1, 2, 3}, never[5];
int main(void) {
    uint32_t x = zkvm_read_u32();
    count += x;
    many[x] = 9;
    zkvm_commit(&count, 4);
    zkvm_commit(many, sizeof many);
    after += x;
    uint32_t rest[] = {after, table[0], table[1], table[2], never[x]};
    zkvm_commit(rest, sizeof rest);
    return 0;
}
"""


def test_thread_locals_that_are_all_zero_lie_apart_from_other_data(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(ZEROS)
    guest = build([tmp_path / "main.c"], tmp_path / "guest.elf", libc="none")
    session = zkvm.execute(guest, struct.pack("<I", 2))
    assert struct.unpack("<36I", session.journal) == (2, 0, 0, 9, *[0] * 27, 9, 1, 2, 3, 0)


ATOMICS = r"""#include <stdatomic.h>
#include <zkvm.h>
struct triple { uint32_t a, b, c; };
static _Atomic uint8_t one = 250;
static _Atomic uint16_t two = 65530;
static _Atomic uint32_t four = 5;
static _Atomic uint64_t eight = 1ull << 40;
static _Atomic struct triple many;
int main(void) {
    uint32_t x = zkvm_read_u32();
    struct triple first = {1, 2, 3}, wanted = {x, x, x};
    atomic_init(&many, first);
    struct triple old = many;
    uint8_t expected = 7;
    zkvm_commit_u32((uint32_t)atomic_fetch_add(&one, (uint8_t)x) + atomic_fetch_sub(&two, (uint16_t)x));
    zkvm_commit_u32(atomic_fetch_or(&four, 8 * x) + atomic_fetch_xor(&four, x) + atomic_exchange(&four, x));
    zkvm_commit_u32((uint32_t)(atomic_fetch_and(&eight, 3ull << 39) >> 32) + (uint32_t)atomic_compare_exchange_strong(&one, &expected, x));
    zkvm_commit_u32(expected);
    zkvm_commit_u32((uint32_t)atomic_compare_exchange_strong(&many, &old, wanted));
    old = atomic_exchange(&many, old);
    zkvm_commit_u32(old.a + old.b + old.c + one + two + four);
    return 0;
}
"""


@pytest.mark.parametrize("libc", ["none", "musl"])
def test_atomics_of_every_size(libc: str, tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(ATOMICS)
    warnings: list[str] = []
    elf = build([tmp_path / "main.c"], tmp_path / "guest.elf", libc=libc, warn=warnings.append)
    assert [text for text in warnings if "compiling the" not in text] == []
    x, four = 9, 5
    after_or = four | 8 * x
    first = [250 + 65530, four + after_or + (after_or ^ x), 1 << 8, (250 + x) % 256, 1]
    expected = [*first, 3 * x + (250 + x) % 256 + 65530 - x + x]
    assert zkvm.execute(elf, struct.pack("<I", x)).journal == struct.pack("<6I", *expected)


@pytest.mark.parametrize("length", range(8))
def test_strings_that_end_where_constants_end(length: int) -> None:
    """The last word is read whole: it is there."""
    text = "abcdefgh"[:length]
    source = "#include <string.h>\n#include <zkvm.h>\n"
    source += f'static const char text[] __attribute__((section(".rodata.zzz"), used)) = "{text}";\nint main(void) {{\n'
    source += "    const char *volatile where = text;\n    char copy[16];\n    zkvm_read_exact(copy, sizeof copy);\n"
    source += "    int same = strcmp(where, copy) == 0 && strncmp(where, copy, 9) == 0;\n"
    source += "    int end = memchr(where, 0, sizeof text) == where + sizeof text - 1;\n"
    source += "    zkvm_commit_u32((uint32_t)((strchr(where, 'z') == 0) + 2 * end + 4 * same));\n"
    source += "    return 0;\n}\n"
    assert zkvm.execute(compiled(source, debug_lines=False), text.encode().ljust(16, b"\0")).journal == struct.pack("<I", 7)


def operations(seed: int, count: int, largest: int) -> bytes:
    generator = random.Random(seed)
    requests = b""
    for _ in range(count):
        size = generator.choice([0, 1, 16, 17, 100, 1020, 1021, 5000, generator.randrange(largest)])
        requests += struct.pack("<BBI", generator.randrange(16), generator.choice([0, 1, 1, 2, 3, 3, 4, 5]), size)
    return struct.pack("<I", count) + requests


@pytest.mark.parametrize(("seed", "largest"), [(1, 40), (2, 3000), (3, 300_000)])
def test_memory_under_load(seed: int, largest: int) -> None:
    session = text_of("memory.cpp", operations(seed, 600, largest))
    assert session.exit_code == 0, session.stderr
    missing, spread = struct.unpack("<II", session.journal)
    assert missing == 0
    assert spread < 20 * largest + (8 << 20), "freed memory is used again"


def test_memory_that_runs_out_is_joined_and_used_again() -> None:
    megabyte = 1 << 20
    small = [(slot, 1, 2 * megabyte) for slot in range(200)]  # more than there is
    freed = [(slot, 0, 0) for slot in range(200)]
    large = [(0, 1, 200 * megabyte), (1, 2, 20 * megabyte), (2, 1, 0x7FFF_FFFF), (3, 3, 0xFFFF_FFFF)]
    requests = [*small, *freed, *large]
    session = text_of("memory.cpp", struct.pack("<I", len(requests)) + b"".join(struct.pack("<BBI", *request) for request in requests))
    assert session.exit_code == 0, session.stderr
    missing, spread = struct.unpack("<II", session.journal)
    fitting = 247 // 2
    assert missing == 200 - fitting + 2
    assert spread > 240 * megabyte


def test_a_block_is_freed_once() -> None:
    source = "#include <stdlib.h>\nint main(void) { char *volatile a = malloc(9); free(a); free(a); return 0; }\n"
    session = zkvm.execute(compiled(source))
    assert (session.exit_code, session.stderr) == (1, b"free: this block is free already\n")


def test_a_program_asks_the_host_seldom_for_memory() -> None:
    source = "#include <stdlib.h>\n#include <zkvm.h>\nint main(void) {\n    static char *blocks[5000];\n"
    source += "    for (int i = 0; i < 5000; i++) blocks[i] = malloc(100);\n    zkvm_commit(blocks, sizeof blocks);\n    return 0;\n}\n"
    own = execute(load_image(compiled(source)), b"")
    addresses = struct.unpack("<5000I", own.journal)
    assert len(set(addresses)) == 5000
    assert 0 not in addresses
    assert int((own.ecalls["a7"] == BRK).sum()) == 3, "where memory begins, an aligned beginning, and one large step"


@pytest.mark.parametrize("condition", ["x == 5", "x < 5"])
def test_assertions_are_proven(condition: str) -> None:
    body = f"uint32_t x = zkvm_read_u32();\n    assert({condition});\n    return 3;"
    source = f"#include <assert.h>\n#include <zkvm.h>\nint main(void) {{\n    {body}\n}}\n"
    elf = compiled(source)
    assert zkvm.execute(elf, struct.pack("<I", 5 if "==" in condition else 4)).exit_code == 3
    failed = zkvm.execute(elf, struct.pack("<I", 6))
    assert (failed.exit_code, failed.stderr) == (134, f"Assertion failed: {condition} (main.c: main: 5)\n".encode())
    without = compiled(source.replace("#include <assert.h>", "#define NDEBUG\n#include <assert.h>"))
    assert zkvm.execute(without, struct.pack("<I", 6)).exit_code == 3


def test_what_is_not_used_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "main.c"
    path.write_text("#include <zkvm.h>\nint main(void) { zkvm_commit_u32(5); return 0; }\n")
    plain, with_library = (build([path], tmp_path / f"{libc}.elf", libc=libc).read_bytes() for libc in ("none", "musl"))
    assert plain == with_library
    path.write_text("#include <stdlib.h>\n#include <zkvm.h>\nint main(void) { return abs((int)zkvm_read_u32()); }\n")
    elf = build([path], tmp_path / "small.elf").read_bytes()
    assert len(zkvm.execute(elf, b"\xfb\xff\xff\xff").stdout) == 0
    assert zkvm.execute(elf, b"\xfb\xff\xff\xff").exit_code == 5


def test_the_choice_of_a_library(tmp_path: Path) -> None:
    path = tmp_path / "main.c"
    path.write_text('#include <stdio.h>\nint main(void) { return puts("x"); }\n')
    with pytest.raises(GuestError, match=r"'stdio.h' file not found[\s\S]*--libc none"):
        build([path], tmp_path / "out.elf", libc="none")
    with pytest.raises(UsageError, match="libc glibc: choose musl or none"):
        build([path], tmp_path / "out.elf", libc="glibc")
    path.write_text("#include <unistd.h>\nint main(void) { return fork(); }\n")
    with pytest.raises(GuestError, match=r"undefined symbol: fork[\s\S]*one thread, no processes"):
        build([path], tmp_path / "out.elf")
    path = tmp_path / "main.cpp"
    path.write_text("int main(int count, char **) { if (count) throw 5; return 0; }\n")
    with pytest.raises(GuestError, match=r"with exceptions disabled[\s\S]*note: exceptions need --exceptions"):
        build([path], tmp_path / "out.elf")


EXCEPTIONS = r"""
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>
#include <zkvm.h>
struct Mark {
    uint32_t number;
    ~Mark() { zkvm_commit_u32(number); }
};
struct Own : std::exception {
    const char *what() const noexcept override { return "own"; }
};
static uint32_t deep(uint32_t n) {
    Mark mark{n};
    if (n == 0) throw std::runtime_error("bottom " + std::to_string(42));
    return deep(n - 1) + 1;
}
int main() {
    uint32_t choice = zkvm_read_u32();
    try {
        if (choice == 0) return static_cast<int>(deep(2));
        if (choice == 1) return std::vector<int>(3).at(choice + 5);
        if (choice == 2) throw Own();
        if (choice == 3) return std::unique_ptr<volatile char[]>(new volatile char[0x60000000 + choice])[5];
        if (choice == 4) {
            try { throw choice; } catch (...) { zkvm_commit_u32(99); throw; }
        }
    } catch (const std::out_of_range &error) { zkvm_log(error.what()); return 11;
    } catch (const std::bad_alloc &) { return 12;
    } catch (const std::runtime_error &error) { zkvm_log(error.what()); return 10;
    } catch (uint32_t number) { return 20 + static_cast<int>(number); }
    return 0;
}
"""


def test_exceptions_find_their_handlers(tmp_path: Path) -> None:
    path = tmp_path / "main.cpp"
    path.write_text(EXCEPTIONS)
    elf = build([path], tmp_path / "guest.elf", exceptions=True).read_bytes()

    def run(choice: int) -> tuple[int, tuple[int, ...], bytes]:
        session = zkvm.execute(elf, struct.pack("<I", choice))
        return session.exit_code, struct.unpack(f"<{len(session.journal) // 4}I", session.journal), session.stdout + session.stderr

    assert run(0) == (10, (0, 1, 2), b"bottom 42\n")
    assert run(1) == (11, (), b"vector\n")
    assert run(2) == (134, (), b"libc++abi: terminating due to uncaught exception of type Own: own\n")
    assert run(3) == (12, (), b"")
    assert run(4) == (24, (99,), b"")
    assert run(5) == (0, (), b"")
    assert zkvm.check(elf, struct.pack("<I", 4)) == []


def test_what_would_throw_says_so_without_exceptions(tmp_path: Path) -> None:
    source = "#include <vector>\n#include <zkvm.h>\nint main() { std::vector<int> v(zkvm_read_u32()); return v.at(4); }\n"
    session = zkvm.execute(compiled(source, name="main.cpp"), struct.pack("<I", 3))
    assert session.exit_code == 134
    assert session.stderr == b'out_of_range was thrown in -fno-exceptions mode with message "vector"'
    (tmp_path / "main.cpp").write_text(source)
    with pytest.raises(UsageError, match="exceptions need the C\\+\\+ library"):
        build([tmp_path / "main.cpp"], tmp_path / "out.elf", libc="none", exceptions=True)


@pytest.mark.slow
def test_the_library_is_the_same_for_every_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built anew in other folders, with nothing in caches: the same program."""
    path = tmp_path / "main.cpp"
    path.write_text(
        "#include <cstdio>\n#include <map>\n#include <string>\nint main() {\n"
        '    std::map<std::string, int> m{{"a", 1}};\n    printf("%f", m["a"] * 0.5);\n}\n'
    )
    elves = []
    for name in ("one", "another/place"):
        (tmp_path / name).mkdir(parents=True)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)
        seen: list[str] = []
        elves.append(build([path], tmp_path / name / "guest.elf", warn=seen.append).read_bytes())
        assert [line.split(":")[0] for line in seen] == ["compiling the C++ library", "compiling the C library"]
        again: list[str] = []
        assert build([path], tmp_path / name / "again.elf", warn=again.append).read_bytes() == elves[-1]
        assert again == []
    assert elves[0] == elves[1]
    assert str(tmp_path).encode() not in elves[0]
