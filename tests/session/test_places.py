"""Runs in segments that are padded by their program: neither where they are cut nor how tall their tables are tells of the input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import zkvm
from tests.ml.models import compiled
from tests.ml.networks import NETWORKS
from tests.session.test_bound import KINDS, inputs
from zkvm.errors import LimitError
from zkvm.ml.compilation import Options, Precompiles
from zkvm.ml.package import CompiledModel
from zkvm.riscv.isa.opcodes import REGISTER_COUNT
from zkvm.riscv.machine import memory_machine, segment_machine
from zkvm.riscv.records import Execution, Image
from zkvm.riscv.vm.assemble import EXIT, Item, assemble
from zkvm.riscv.vm.cuts import SegmentedRun, survey
from zkvm.riscv.vm.executor import execute
from zkvm.session import lengths
from zkvm.session.bound import counts_of, room, rounded_down, ways_of
from zkvm.session.cutting import Cutter
from zkvm.session.lengths import Lengths
from zkvm.session.pieces import terms_of
from zkvm.session.places import PARTS, Places, even_length, places_of
from zkvm.session.run import ExecutorEnv, read_elf
from zkvm.session.setting import Setting
from zkvm.session.totals import Totals
from zkvm.stark.protocol.params import Policy, parameters
from zkvm.verifier.image import image_columns, image_header

LIMIT, MEMORY = 1 << 28, 1 << 30


def setting_of(image: Image, pad_to: int | str = "program") -> Setting:
    """Of proofs that nobody makes."""
    header = image_header(image, image_columns(image), (bytes(32),) * 3)
    return Setting(image, header, None, parameters("fast"), True, 1, 1 << 20, pad_to)  # type: ignore[arg-type]


def turns(value: int, count: int = 50) -> Image:
    """Turns of a loop that call a function; it takes 2 instructions, or 7 if a0 is 0, and after it a branch skips 3 unless a0 is 0."""
    items: list[Item] = [
        ("j", "main"),
        "called", ("bne", "a0", "x0", "short"), *[("add", "t1", "t1", "t1")] * 5, "short", ("jalr", "x0", "ra", 0),
        "main", ("li", "a0", value), ("li", "t0", count),
        "loop", ("jal", "ra", "called"),
        ("bne", "a0", "x0", "over"), *[("xor", "t1", "t1", "t1")] * 3,
        "over", ("sw", "t1", "sp", -16), ("addi", "t0", "t0", -1), ("bne", "t0", "x0", "loop"),
        ("li", "a0", 0), *EXIT,
    ]  # fmt: skip
    return assemble(items)


def places(image: Image, fixed: int | None, budget: int = 1 << 40) -> Places:
    return places_of(Lengths(setting_of(image), fixed, budget), ExecutorEnv(), LIMIT, MEMORY)


def pcs(image: Image, cycles: list[int]) -> list[int]:
    """Where a run stands after so many instructions."""
    run, result = SegmentedRun(image), []
    for count in cycles:
        run.segment(count)
        result.append(run.at.pc)
    return result


def test_places_are_the_same_for_all_inputs() -> None:
    """The same instructions, as often executed before, though one run takes 8 instructions a turn more than the other."""
    images = [turns(value) for value in (0, 1)]
    found = [places(image, 100) for image in images]
    assert [len(own.cycles) for own in found] == [7, 7]  # 15 a turn, of which one way skips 8
    assert all(first >= second for first, second in zip(*(own.cycles.tolist() for own in found), strict=True))
    assert found[0].cycles[-1] > found[1].cycles[-1] + 300
    assert pcs(images[0], found[0].cycles.tolist()) == pcs(images[1], found[1].cycles.tolist())
    assert found[0].cycles.tolist() == pytest.approx([100 * number for number in range(1, 8)], abs=12)


def test_no_place_is_on_a_way() -> None:
    """Neither in the function nor behind the branch: wherever the run is cut after fewer and fewer instructions."""
    image = turns(1)
    ways = ways_of(image, counts_of(recorded(image).steps, image))
    for apart in (1, 2, 7, 13):
        found = places(image, apart).cycles
        row_of = {int(pc): row for row, pc in enumerate(image.program["pc"].tolist())}
        later = sorted(set(found.tolist()) - {0})
        assert all(ways.steps[row_of[pc]] for pc in pcs(image, later))


def recorded(image: Image) -> Execution:
    return SegmentedRun(image).segment(1 << 20)


def test_a_segment_that_does_not_fit_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths, "LEAST_CYCLES", 1)
    image = turns(0, 2000)
    found = places(image, None)
    tried: list[int] = []

    def fits(self: Lengths, execution: Execution, padding: object) -> bool:
        tried.append(len(execution.steps))
        return tried[-1] <= 6000

    monkeypatch.setattr(Lengths, "fits", fits)
    run = SegmentedRun(image)
    done: list[int] = []
    while not run.ended:
        done.append(found.next_segment(run, LIMIT).cycles - sum(done))
    whole = survey(image).cycles
    assert sum(done) == whole == pytest.approx(30_000, abs=10)
    assert max(done) <= 6000
    assert done == pytest.approx([whole / 8] * 8, abs=2 * whole / PARTS)
    monkeypatch.setattr(Lengths, "fits", lambda self, execution, padding: False)
    with pytest.raises(LimitError, match="it is as short as can be"):
        found.next_segment(SegmentedRun(image), LIMIT)


def test_lengths_are_even_and_fit() -> None:
    image = turns(0)
    rows = {"add": 3 << 24, "bitwise": 1 << 22, "refresh": 1 << 20, "boundary": 1 << 16}
    total = 1 << 26
    wide = Lengths(setting_of(image), None, 1 << 40)
    assert total / lengths.MOST_CYCLES <= -(-total // even_length(wide, rows, total)) <= 9
    tight = Lengths(setting_of(image), None, 1 << 30)
    length = even_length(tight, rows, total)
    assert length < total // 8
    segments = -(-total // length)
    own = {chip.name: -(-rows.get(chip.name, 0) // segments) for chip in segment_machine().chips if chip.first is None}
    assert tight.cost(segment_machine(), own | {"boundary": 1 << 16}, 0, room(own)) is not None
    assert even_length(replace(wide, workers=100), rows, total) <= -(-total // 100)
    assert even_length(replace(wide, fixed=123), rows, total) == 123
    assert even_length(replace(wide, budget=0), rows, total) == lengths.LEAST_CYCLES


def test_budgets_that_differ_a_little_become_equal() -> None:
    assert rounded_down((1 << 30) + 5) == rounded_down((1 << 30) + (1 << 25)) == 1 << 30
    assert [rounded_down(number) for number in range(33)] == [*range(33)]


def test_what_a_survey_counts() -> None:
    image = turns(0)
    steps: list[np.ndarray] = []
    seen = survey(image, look=lambda own: steps.append(own.copy()))
    own = recorded(image)
    assert np.array_equal(np.concatenate(steps), execute(image).steps)
    assert (seen.cycles, seen.words) == (survey(image).cycles, len(own.boundary) - sum(own.boundary["address"] >= 1 << 32))
    assert survey(image).words == 0
    assert REGISTER_COUNT >= len(own.boundary) - seen.words


def seen_of(model: CompiledModel, stdin: bytes, cycles: int, pad_to: int | str) -> tuple[tuple[int, ...], ...]:
    """Heights of all proofs of a run in segments of so many cycles."""
    _, image = read_elf(model.elf)
    setting = setting_of(image, pad_to)
    totals = Totals(Policy(), 1 << 31)
    cutter = Cutter(setting, terms_of(setting, 1), ExecutorEnv(stdin), {}, Lengths(setting, cycles, 0), totals)
    own = {True: segment_machine(), False: memory_machine()}
    return tuple(setting.shape(own[piece.number > 0], record, piece.padding).log_heights for piece, record in cutter)


@pytest.mark.parametrize("name", ["convolution", "separable", "quantize-dequantize", "attention"])
def test_segments_tell_nothing_of_the_input(name: str) -> None:
    model = compiled(*NETWORKS[name](), Options(precompiles=Precompiles.NONE)).model
    random, padded, bare = np.random.default_rng(5), set(), set()
    for kind in KINDS:
        stdin = model.stdin(inputs(model, kind, random))
        session = zkvm.execute(model.elf, stdin)
        if session.exit_code == 0:
            padded.add(seen_of(model, stdin, 2000, "program"))
            bare.add(seen_of(model, stdin, 2000, 0))
    assert len(padded) == 1
    assert (len(bare) > 1) == (name == "quantize-dequantize")  # which has most branches
    assert len(padded.pop()) > 5


def test_a_model_is_proven_in_segments() -> None:
    """As ``zkvm run`` does it: nothing is said of padding, and none is lost."""
    model = compiled(*NETWORKS["convolution"](), Options(precompiles=Precompiles.NONE)).model
    stdin = model.stdin(inputs(model, "random", np.random.default_rng(5)))
    info = zkvm.prove(model.elf, stdin, params="fast", pad_to="program", segment_cycles=3000, threads=2)
    assert info.receipt.segmented is not None
    heights = tuple(own.proof.log_heights for own in info.receipt.segmented.proofs)
    expected = seen_of(model, stdin, 3000, "program")
    assert heights == (expected[-1], *expected[:-1])
    info.receipt.verify(zkvm.compute_image_id(model.elf))
