"""Profiles: functions, lines, chips, call paths, what a proof of the run will commit."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

import zkvm
from tests.guest.compiled import compiled, needs_compiler
from tests.receipts import ECHO, GUESTS, HELLO, TEXT
from zkvm.riscv.isa import opcodes
from zkvm.riscv.machine import machine
from zkvm.riscv.vm.assemble import EXIT, assemble
from zkvm.riscv.vm.executor import execute
from zkvm.session import profiling
from zkvm.session.flamegraph import SCHEMA, html, speedscope, tree
from zkvm.session.profiling import Profile
from zkvm.stark.protocol.params import parameters

SOURCE = r"""#include <zkvm.h>
__attribute__((noinline)) uint32_t mix(uint32_t x) {
    for (int i = 0; i < 100; i++)
        x = x * 2654435761u ^ x >> 7;
    return x;
}
int main(void) {
    uint32_t x = zkvm_read_u32();
    for (int i = 0; i < 3; i++) x = mix(x);
    zkvm_commit_u32(x);
    return 0;
}
"""


def test_every_operation_and_call_has_the_chip_that_proves_it() -> None:
    steps, calls = profiling.serving_chips()
    served = {operation for operation in range(256) if steps[0, operation] or steps[1, operation]}
    every = {number for number in opcodes.NAMES if number < 46} - {opcodes.ECALL, opcodes.TRAP}
    assert served == every
    assert (steps[0, opcodes.ADD], steps[0, opcodes.LW], steps[1, opcodes.LW]) == ("add", "load_word", "load_word_rom")
    assert steps[0, opcodes.SLL] == steps[0, opcodes.DIV] == "divide"
    others = {4096: "ecall", 4097: "", 4098: "permute", 4099: "blake3_call", profiling.OTHER_CALL: "ecall"}
    assert calls == {63: "ecall", 64: "ecall", 93: "ecall", 94: "ecall", 214: "brk"} | others


@pytest.mark.parametrize(("params", "pad_to"), [("fast", 0), ("compact", 0), ("fast", 1 << 10)])
def test_the_predicted_tables_are_those_of_the_proof(params: str, pad_to: int) -> None:
    profile = zkvm.profile(ECHO, TEXT, params=params, pad_to=pad_to)
    receipt = zkvm.prove(ECHO, TEXT, params=params, pad_to=pad_to, verify=False).receipt
    assert receipt.seal is not None
    heights: dict[str, int] = {}
    for chip, log in zip(machine().chips, receipt.seal.log_heights, strict=True):
        if log:
            name = chip.first or chip.name
            heights[name] = heights.get(name, 0) + (1 << log)
    assert {chip.name: chip.height for chip in profile.chips} == heights
    widths = {code.chip.name: sum(code.widths[1:]) for code in machine().codes}
    assert profile.cells == sum(height * widths[name] for name, height in heights.items())
    assert 0 < profile.charged_cells < profile.cells


def test_padding_is_a_power_of_two() -> None:
    with pytest.raises(zkvm.UsageError, match="power of two"):
        zkvm.profile(ECHO, TEXT, pad_to=1000)


def test_tables_of_a_longer_run_with_second_instances() -> None:
    case = json.loads((GUESTS / "mixed" / "expected.json").read_text())["cases"]
    stdin = bytes.fromhex(next(entry["input"] for entry in case if entry["name"] == "2^16"))
    elf = GUESTS / "mixed" / "mixed.elf"
    profile = zkvm.profile(elf, stdin)
    execution = execute(zkvm.load_image(elf), stdin)
    rows = {chip.name: chip.rows(execution) for chip in machine().chips if chip.first is None}
    assert {chip.name: chip.rows for chip in profile.chips} == {
        name: count for name, count in rows.items() if name in {c.name for c in profile.chips}
    }
    assert sum(entry.cycles for entry in profile.functions) == execution.cycles == profile.session.cycles


@needs_compiler
def test_lines_and_functions_of_a_loop() -> None:
    profile = zkvm.profile(compiled(SOURCE), bytes(4))
    loop = next(entry for entry in profile.lines if (entry.file, entry.line) == ("main.c", 4))
    assert profile.lines[0] == loop
    assert loop.cycles >= 3 * 100 * 3  # multiply, shift, exclusive or
    assert sum(entry.cycles for entry in profile.lines) == profile.session.cycles
    assert sum(entry.cells for entry in profile.lines) == profile.charged_cells
    by_name = {entry.name: entry for entry in profile.functions}
    assert profile.functions[0].name == "mix"
    assert by_name["main"].total_cycles == profile.session.cycles - by_name["_start"].cycles
    assert 0 < by_name["main"].cycles < by_name["main"].total_cycles - by_name["mix"].cycles  # the rest is inlined in main
    assert by_name["_start"].total_cells == profile.charged_cells
    paths = [path for path, _, _ in profile.paths]
    assert ("_start", "main", "mix") in paths
    assert ("_start", "main", "zkvm_read_u32 (inlined)", "zkvm_read_exact (inlined)") in paths
    assert sum(cycles for _, cycles, _ in profile.paths) == profile.session.cycles
    session = zkvm.execute(compiled(SOURCE), bytes(4), profile=True)
    assert dict(session.functions) == {entry.name: entry.cycles for entry in profile.functions if entry.cycles}


def test_without_line_tables_there_are_no_lines() -> None:
    assert zkvm.profile(HELLO).lines == ()


def test_a_run_too_long_for_a_proof_is_still_profiled(monkeypatch: pytest.MonkeyPatch) -> None:
    from zkvm.stark import tables

    monkeypatch.setattr(tables, "MAX_HEIGHT", 1 << 10)
    profile = zkvm.profile(HELLO)
    assert (profile.prediction, profile.cells) == (None, 0)
    assert profile.charged_cells > 0


def test_json_view() -> None:
    profile = zkvm.profile(HELLO)
    view = json.loads(json.dumps(profile.to_json()))
    assert (view["cycles"], view["journal"], view["exit_code"]) == (28, b"hello".hex(), 0)
    assert {"name", "cycles", "cells", "total_cycles", "total_cells"} == set(view["functions"][0])
    assert {"name", "rows", "height", "columns", "near_boundary", "by_call", "cells"} == set(view["chips"][0])


def check_speedscope(profile: Profile) -> None:
    view = json.loads(json.dumps(speedscope(profile, "guest")))
    assert view["$schema"] == SCHEMA
    names = [frame["name"] for frame in view["shared"]["frames"]]
    assert len(names) == len(set(names))
    for entry, weights in zip(view["profiles"], ([c for *_, c in profile.paths], [c for _, c, _ in profile.paths]), strict=True):
        assert entry["type"] == "sampled"
        assert entry["weights"] == weights
        assert entry["endValue"] - entry["startValue"] == sum(weights)
        assert [tuple(names[frame] for frame in sample) for sample in entry["samples"]] == [path for path, _, _ in profile.paths]


def test_speedscope_files() -> None:
    check_speedscope(zkvm.profile(HELLO))


def test_flame_graph_page_is_self_contained() -> None:
    profile = zkvm.profile(HELLO)
    page = html(profile, "<script>")
    assert "http" not in page.replace("https://www.speedscope.app", "")
    assert page.count("</script>") == 1
    data = json.loads(page.split("const data = ", 1)[1].split(";\nlet unit", 1)[0])
    assert data["name"] == "<script>"

    def total(node: dict[str, Any], key: str) -> int:
        return int(node[key]) + sum(total(child, key) for child in node["k"])

    assert total(data["tree"], "c") == profile.charged_cells
    assert total(data["tree"], "y") == profile.session.cycles
    assert data["tree"] == tree(profile)


PAGE_STUB = """
function el(tag) { return { tag, style: {}, kids: [], append(...more) { this.kids.push(...more); }, replaceChildren() { this.kids = []; },
  insertRow() { const row = el("tr"); this.kids.push(row); return row; } }; }
const made = {};
const document = { getElementById: id => made[id] ??= el(id), querySelector: query => made[query] ??= el(query), createElement: el,
  querySelectorAll: query => made.radios ??= [{ value: "c" }, { value: "y" }] };
"""
PAGE_USE = """
const names = () => made.graph.kids.map(box => box.textContent), result = { all: names(), heading: made.h1.textContent };
made.radios[1].onchange();
made.graph.kids[2].onclick();
made.graph.kids[0].onmouseenter();
Object.assign(result, { zoomed: names(), detail: made.detail.textContent, rows: made.functions.kids.length });
made.reset.onclick();
console.log(JSON.stringify(Object.assign(result, { reset: names() })));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript interpreter (node) to run the page's script")
def test_flame_graph_page_draws_zooms_and_resets() -> None:
    profile = zkvm.profile(HELLO)
    script = html(profile, "hello").split("<script>")[1].split("</script>")[0]
    result = subprocess.run(["node", "-"], input=PAGE_STUB + script + PAGE_USE, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    functions = {entry.name for entry in profile.functions}
    assert set(seen["all"]) == functions | {"all"}
    assert seen["all"][:2] == ["all", "_start"]
    assert seen["zoomed"][0] == seen["all"][2] == "main"
    assert seen["detail"].startswith("main: ")
    assert seen["rows"] == 1 + len(profile.functions)
    assert sorted(seen["reset"]) == sorted(seen["all"])
    assert seen["heading"] == "Profile of hello"


def test_tables_near_a_power_of_two_are_marked() -> None:
    chosen = parameters("fast", 128)
    full = 1024 - chosen.exempt
    rows = {chip.name: 0 for chip in machine().chips if chip.first is None}
    image = execute(assemble([*EXIT])).image
    for count, near in ((300, False), (full, True), (full + 1, True), (1000, False)):
        assert ("jump" in profiling.near_boundaries(rows | {"jump": count}, image, chosen, 0)) is near, count
    assert profiling.near_boundaries(rows | {"jump": full}, image, chosen, 1 << 12) == frozenset()
