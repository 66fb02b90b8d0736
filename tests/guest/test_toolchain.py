"""The compiler driver: what it builds, that it always builds the same bytes, and what it refuses."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tools.build_guests import GUEST_PROGRAMS
from tools.emulator import emulate
from zkvm.errors import GuestError, UsageError
from zkvm.guest.toolchain import build

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


@pytest.mark.parametrize("elf", sorted(GUEST_PROGRAMS.glob("*/*.elf")), ids=lambda path: path.stem)
def test_segments(elf: Path) -> None:
    with elf.open("rb") as stream:
        file = ELFFile(stream)
        assert file["e_flags"] == 0, "no compressed instructions, no floating-point registers"
        segments = list(file.iter_segments("PT_LOAD"))
        assert all(segment["p_flags"] in (4, 5, 6) for segment in segments), "never writable and executable"
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


def test_unusable_sources_are_refused(tmp_path: Path) -> None:
    shutil.copy(DIGITS / "README.md", tmp_path)
    with pytest.raises(UsageError, match="name at least one"):
        build([], tmp_path / "out.elf")
    with pytest.raises(UsageError, match="not a C, C\\+\\+ or assembly file"):
        build([tmp_path / "README.md"], tmp_path / "out.elf")
    with pytest.raises(UsageError, match="no such file"):
        build([tmp_path / "missing.c"], tmp_path / "out.elf")


def test_missing_compiler_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'zkvm\[guest\]'"):
        build([tmp_path / "main.c"], tmp_path / "out.elf")
