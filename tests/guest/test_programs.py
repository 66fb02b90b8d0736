"""The committed guests: they are what their sources build, and executor, emulator and record agree on what they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tools.build_guests import GUEST_PROGRAMS, differences, elf_path, guest_folders, load_cases
from tools.emulator import emulate
from zkvm.riscv.vm.elf import load_image
from zkvm.riscv.vm.executor import execute

ALIASES = {"mv": "addi", "nop": "addi", "li": "addi", "not": "xori", "neg": "sub", "ret": "jalr", "jr": "jalr", "j": "jal"} | {
    "seqz": "sltiu",
    "snez": "sltu",
    "sltz": "slt",
    "sgtz": "slt",
    **{name: name.removesuffix("z") for name in ("beqz", "bnez", "bltz", "bgez")},
    "blez": "bge",
    "bgtz": "blt",
}
LOADS, STORES = {"lb", "lbu", "lh", "lhu", "lw"}, {"sb", "sh", "sw"}
BRANCHES = {"beq", "bne", "blt", "bge", "bltu", "bgeu"}
PRODUCTS = {"mul", "mulh", "mulhsu", "mulhu"}
SHIFTS = {"sll", "srl", "sra", "slli", "srli", "srai"}
LOGIC = {"and", "or", "xor", "andi", "ori", "xori"}
ALL = (LOADS | STORES | BRANCHES | PRODUCTS | SHIFTS | LOGIC | {"add", "sub", "slt", "sltu", "addi", "slti", "sltiu", "lui", "auipc"}) | {
    "jal",
    "jalr",
    "fence",
    "ecall",
    "div",
    "divu",
    "rem",
    "remu",
}


HASHING = ("python_mastermind", "python_merkle", "python_tree")
PYTHON = ("python_dense", "python_mastermind", "python_merkle", "python_tree")


def cases() -> list[Any]:
    return [pytest.param(folder, case, id=f"{folder.name}-{case['name']}") for folder in guest_folders() for case in load_cases(folder)]


def executed(elf: Path, stdin: bytes) -> dict[str, int]:
    """How often each instruction was executed, by its name in the specification."""
    counts: dict[str, int] = {}
    for name, count in emulate(elf, stdin).mnemonics.items():
        counts[ALIASES.get(name, name)] = counts.get(ALIASES.get(name, name), 0) + count
    return counts


def test_there_are_guests() -> None:
    assert [folder.name for folder in guest_folders()] == [
        "all_instructions",
        "attention",
        "digits",
        "echo",
        "hello",
        "mixed",
        *PYTHON,
        "sudoku",
    ]


@pytest.mark.parametrize("folder", guest_folders(), ids=lambda folder: folder.name)
def test_committed_files_follow_from_the_sources(folder: Path, tmp_path: Path) -> None:
    assert differences(folder, tmp_path) == []


@pytest.mark.parametrize(("folder", "case"), cases())
def test_executor_agrees_with_the_record(folder: Path, case: dict[str, Any]) -> None:
    """The emulator knows neither tensor calls nor hashes: with them the journal is the same."""
    elf, stdin = elf_path(folder).read_bytes(), bytes.fromhex(case["input"])
    seen = execute(load_image(elf, tensors=False), stdin, trace=False)
    assert (seen.journal.hex(), seen.exit_code) == (case["journal"], case["exit_code"])
    assert seen.cycles <= case["cycles"] if folder.name in HASHING else seen.cycles == case["cycles"]
    called = execute(load_image(elf), stdin, trace=False)
    assert (called.journal, called.exit_code) == (seen.journal, seen.exit_code)


def test_echo_commits_its_input() -> None:
    assert all(case["journal"] == case["input"] for case in load_cases(GUEST_PROGRAMS / "echo"))


def test_echo_moves_partial_words() -> None:
    stdin = bytes.fromhex(load_cases(GUEST_PROGRAMS / "echo")[-1]["input"])
    seen = execute(load_image(elf_path(GUEST_PROGRAMS / "echo").read_bytes()), stdin)
    for rows in (seen.reads, seen.writes):
        assert set(np.unique(rows["count"])) == {1, 2, 3, 4}
        assert set(np.unique(rows["address"] & 3)) == {0, 1, 2, 3}


def test_all_instructions_are_executed() -> None:
    assert set(executed(elf_path(GUEST_PROGRAMS / "all_instructions"), b"")) == ALL


def test_mixed_has_the_promised_mix() -> None:
    elf = elf_path(GUEST_PROGRAMS / "mixed")
    counts = executed(elf, (777).to_bytes(4, "little"))
    total = sum(counts.values())
    for names, least in ((LOADS, 0.15), (STORES, 0.08), (BRANCHES, 0.12), (PRODUCTS | SHIFTS, 0.04), (LOGIC, 0.03)):
        assert sum(counts.get(name, 0) for name in names) / total >= least, names


def test_mixed_grows_linearly() -> None:
    folder = GUEST_PROGRAMS / "mixed"
    points = [(int.from_bytes(bytes.fromhex(case["input"]), "little"), case["cycles"]) for case in load_cases(folder)]
    per_round = [(cycles - points[0][1]) / rounds for rounds, cycles in points[1:]]
    assert max(per_round) / min(per_round) < 1.01
    assert [round(float(np.log2(cycles)), 2) for _, cycles in points[1:]] == [16.0, 18.0, 20.0]


def test_mixed_arrays_are_larger_than_64_kib() -> None:
    image = load_image(elf_path(GUEST_PROGRAMS / "mixed").read_bytes())
    assert len(image.ram_address) * 4 > 65536
    stdin = (3121).to_bytes(4, "little")
    touched = execute(image, stdin).zero_address
    assert len(touched) > 8192
    assert int(touched[touched < image.heap_start // 4].max() - touched.min()) * 4 > 2 * 65536
