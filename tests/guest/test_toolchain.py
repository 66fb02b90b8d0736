"""The compiler driver: what it builds, that it always builds the same bytes, and what it refuses."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tests.cli.running import invoke
from tools.build_guests import GUEST_PROGRAMS
from tools.emulator import emulate
from zkvm.errors import ElfError, GuestError, UsageError
from zkvm.guest.toolchain import build, sources_folder

DIGITS = GUEST_PROGRAMS / "digits"
FLOATS = """
#include <zkvm.h>
int main(void) {
    uint64_t product = (uint64_t)zkvm_read_u32() * 1000000007u;
    zkvm_commit_u32((uint32_t)(product / zkvm_read_u32()));
    zkvm_commit_u32((uint32_t)((float)product * 0.5f > 1.0f));
    zkvm_log(__FILE__);
    return 0;
}
"""


@pytest.mark.parametrize("debug_lines", [False, True])
def test_bytes_do_not_depend_on_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, debug_lines: bool) -> None:
    built = []
    for name in ("a", "another/directory"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "main.c").write_text(FLOATS)
        monkeypatch.chdir(folder.parent)
        source = Path(folder.name) / "main.c"
        built.append(build([source], folder / "out.elf", debug_lines=debug_lines).read_bytes())
    assert built[0] == built[1]
    assert str(tmp_path).encode() not in built[0]
    assert str(Path.home()).encode() not in built[0]


def test_software_floats_and_long_division(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(FLOATS)
    elf = build([tmp_path / "main.c"], tmp_path / "out.elf")
    seen = emulate(elf, (123456).to_bytes(4, "little") + (789).to_bytes(4, "little"))
    assert seen.journal == (123456 * 1000000007 // 789 & 0xFFFF_FFFF).to_bytes(4, "little") + (1).to_bytes(4, "little")


CALLED_BY_THE_COMPILER = r"""
#include <zkvm.h>
struct large { uint32_t words[40]; char bytes[13]; };
__attribute__((noinline)) struct large make(uint32_t x) {
    struct large made = {{0}, {0}};
    made.words[x % 40] = x;
    made.bytes[3] = (char)x;
    return made;
}
int main(void) {
    struct large one = make(zkvm_read_u32()), two = one;
    double third = (double)one.words[7] / 3.0;
    int64_t quotient = (int64_t)third * 1000003 / (int32_t)one.words[7];
    zkvm_assert(memcmp(&one, &two, sizeof one) == 0);
    zkvm_commit(&two.words[7], sizeof two.words[7]);
    zkvm_commit(two.bytes, sizeof two.bytes);
    zkvm_commit(&quotient, sizeof quotient);
    return 0;
}
"""


@pytest.mark.parametrize("optimization", ["0", "1", "3", "s"])
def test_what_the_compiler_calls_on_its_own_survives_link_time_optimisation(tmp_path: Path, optimization: str) -> None:
    (tmp_path / "main.c").write_text(CALLED_BY_THE_COMPILER)
    elf = build([tmp_path / "main.c"], tmp_path / "out.elf", optimization=optimization)
    seen = emulate(elf, (47).to_bytes(4, "little"))
    assert seen.exit_code == 0
    assert seen.journal == (47).to_bytes(4, "little") + bytes([0, 0, 0, 47, *bytes(9)]) + (15 * 1000003 // 47).to_bytes(8, "little")


def test_calls_across_files_are_inlined(tmp_path: Path) -> None:
    (tmp_path / "one.c").write_text("unsigned twice(unsigned x) { return x + x; }\n")
    (tmp_path / "main.c").write_text("unsigned twice(unsigned);\nint main(void) { return (int)twice(21); }\n")
    elf = build([tmp_path / "main.c", tmp_path / "one.c"], tmp_path / "out.elf")
    assert emulate(elf).exit_code == 42
    with elf.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        assert table.get_symbol_by_name("twice") is None


@pytest.mark.parametrize("elf", sorted(GUEST_PROGRAMS.glob("*/*.elf")), ids=lambda path: path.stem)
def test_segments(elf: Path) -> None:
    with elf.open("rb") as stream:
        file = ELFFile(stream)
        assert file["e_flags"] == 0, "no compressed instructions, no floating-point registers"
        segments = list(file.iter_segments("PT_LOAD"))
        assert all(segment["p_flags"] & 0xFFFFF in (4, 5, 6) for segment in segments), "never writable and executable"
        pages = [set(range(s["p_vaddr"] >> 12, (s["p_vaddr"] + s["p_memsz"] + 0xFFF) >> 12)) for s in segments]
        assert sum(map(len, pages)) == len(set().union(*pages)), "segments share no page"
        table = file.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        assert {"_start", "main"} <= {symbol.name for symbol in table.iter_symbols()}


def test_options(tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "number.h").write_text("#define BASE 40\n")
    (tmp_path / "main.c").write_text(
        "#include <zkvm.h>\n#include <number.h>\nint twice(int);\nint main(void) { return twice(BASE + EXTRA); }\n"
    )
    (tmp_path / "twice.S").write_text(".globl twice\ntwice:\n    add a0, a0, a0\n    ret\n")
    elf = build(
        [tmp_path / "main.c", tmp_path / "twice.S"],
        tmp_path / "out.elf",
        include_directories=[tmp_path / "include"],
        defines={"EXTRA": "2"},
        optimization="s",
    )
    assert emulate(elf).exit_code == 84


def test_without_the_runtime(tmp_path: Path) -> None:
    (tmp_path / "main.S").write_text(".globl _start\n_start:\n    li a0, 9\n    li a7, 93\n    ecall\n")
    elf = build([tmp_path / "main.S"], tmp_path / "out.elf", runtime=False)
    assert (emulate(elf).exit_code, emulate(elf).cycles) == (9, 3)


def test_compile_errors_are_reported_and_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return nothing; }\n")
    with pytest.raises(GuestError, match="use of undeclared identifier 'nothing'"):
        build([tmp_path / "main.c"], tmp_path / "out.elf")
    assert not (tmp_path / "out.elf").exists()


def test_warnings_are_shown_and_do_not_stop_the_build(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text("int main(void) { int unused = 3; return 0; }\n")
    seen: list[str] = []
    build([tmp_path / "main.c"], tmp_path / "out.elf", warn=seen.append)
    assert len(seen) == 1
    assert "unused variable 'unused'" in seen[0]
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    build([tmp_path / "main.c"], tmp_path / "out.elf", warn=seen.append)
    assert len(seen) == 1


def with_array(declaration: str) -> str:
    """A guest with an array of n elements, n from its input."""
    lines = [
        "#include <zkvm.h>",
        "int main() {",
        "uint32_t n = zkvm_read_u32();",
        declaration,
        "zkvm_read_exact(a, n);",
        "return a[n / 2];",
        "}",
    ]
    return "\n".join([*lines, ""])


@pytest.mark.parametrize("name", ["main.c", "main.cpp"])
def test_arrays_of_variable_length_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(with_array("char a[n];"))
    with pytest.raises(GuestError, match=f"{name}:4:.*error: variable length array") as caught:
        build([tmp_path / name], tmp_path / "out.elf")
    assert "compare the\n      length with a constant" in str(caught.value)
    assert not (tmp_path / "out.elf").exists()
    (tmp_path / name).write_text('#pragma clang diagnostic ignored "-Wvla"\n' + with_array("if (n > 9) return 1; char a[n];"))
    seen: list[str] = []
    elf = build([tmp_path / name], tmp_path / "out.elf", warn=seen.append)
    assert not seen
    assert emulate(elf, (5).to_bytes(4, "little") + b"abcde").exit_code == ord("c")


def test_memory_of_variable_size_on_the_stack_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(with_array("char *a = __builtin_alloca(n);"))
    seen: list[str] = []
    elf = build([tmp_path / "main.c"], tmp_path / "out.elf", warn=seen.append)
    assert "[-Walloca]" in seen[0]
    assert "main.c:4:" in seen[0]
    assert emulate(elf, (5).to_bytes(4, "little") + b"abcde").exit_code == ord("c")


def test_unusable_sources_are_refused(tmp_path: Path) -> None:
    shutil.copy(DIGITS / "README.md", tmp_path)
    with pytest.raises(UsageError, match="name at least one"):
        build([], tmp_path / "out.elf")
    with pytest.raises(UsageError, match="not a C, C\\+\\+, assembly or object file"):
        build([tmp_path / "README.md"], tmp_path / "out.elf")
    with pytest.raises(UsageError, match="no such file"):
        build([tmp_path / "missing.c"], tmp_path / "out.elf")


def test_missing_compiler_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'zkvm\[guest\]'"):
        build([tmp_path / "main.c"], tmp_path / "out.elf")


def test_folders_of_sources_have_one_name_and_are_gone_afterwards() -> None:
    names = []
    for _ in range(2):
        with sources_folder() as folder:
            names.append(folder)
            assert folder.stat().st_mode & 0o777 == 0o700
        assert not folder.exists()
    assert names[0] == names[1]


def test_a_folder_of_sources_whose_name_is_taken() -> None:
    """By anything that somebody else has put there since: it is left as it is, and the sources go into a folder of another name."""
    with sources_folder() as usual:
        pass
    usual.write_text("not ours")
    try:
        with sources_folder() as folder:
            assert folder != usual
            assert folder.stat().st_mode & 0o777 == 0o700
            assert list(folder.iterdir()) == []
        assert not folder.exists()
        assert usual.read_text() == "not ours"
    finally:
        usual.unlink()
    with sources_folder() as inner_name, sources_folder() as other:
        assert inner_name == usual
        assert inner_name not in other.parents


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{0, 1 << 30, 1 << 29}", r"the channel at 0x\w+ of \.tensor\.channels \(bias 0, multiplier 1073741824, limit 536870912\) has"),
        ("{(int64_t)1 << 48, 1, 1}", r"a bias of 2\^48 or more"),
    ],
)
def test_constants_that_the_loader_refuses_are_not_built(tmp_path: Path, row: str, reason: str) -> None:
    """With the loader's words, and before anything is written."""
    source, output = tmp_path / "main.c", tmp_path / "out.elf"
    source.write_text(
        f"""#include <zkvm_tensor.h>
ZKVM_VECTORS(weights) = {{{{1}}}};
ZKVM_CHANNELS(scale) = {{{row}}};
static const zkvm_import input = ZKVM_IMPORT(.vectors = 1);
static const zkvm_linear layer = ZKVM_LINEAR(.blocks = 1, .channels = 1, .taps = 1, .x_stride = 1, .w = ZKVM_AT(weights),
    .w_stride = 1, .channel_list = ZKVM_AT(scale), .bounds = ZKVM_BOUNDS(0, 9));
int main(void) {{ return zkvm_tensor_linear(&layer, zkvm_tensor_import(&input), ZKVM_CONSTANT_VECTORS).handle == 0; }}
"""
    )
    with pytest.raises(ElfError, match=reason):
        build([source], output)
    assert not output.exists()
    outcome = invoke("build", source, "-o", output)
    assert (outcome.code, output.exists()) == (3, False)
    assert re.search(reason, outcome.err)
