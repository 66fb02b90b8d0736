"""Draws the pictures of the documentation. Usage: ``python tools/draw.py [--check]``.

What they show comes from the machine's definition, from the run that :mod:`tools.tour` proves, and from figures that ``bench/run.py``
measured (``docs/pictures/measured.json``). ``--check`` draws again and compares with the committed files.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.svg import COLOURS, FAINT, INK, Picture
from tools.tour import Run, parts, proven
from zkvm.riscv.machine import machine
from zkvm.stark.air.chip import Chip

FOLDER = ROOT / "docs" / "pictures"
WIDTH = 520
RANGES = "range16 range15 range14 range7 bytes and power".split()
"""Lookups of the table of small numbers: drawn as one."""


def pipeline(run: Run) -> Picture:
    """From the source to the verdict, with the tour's numbers."""
    heights, proof = [entry.height for entry in run.tables], run.proof
    stages = (
        ("source", "main.c, C or Python or a model", "zkvm build, zkvm compile"),
        ("program", f"ELF, {len(run.elf):,} bytes; its image ID names it", "the interpreter, private input"),
        ("run", f"{run.execution.cycles} instructions, {len(run.receipt.journal)} bytes of journal", "one row an instruction"),
        ("tables", f"{len(run.tables)} tables, {min(heights):,} to {max(heights):,} rows", "commit, challenge, commit, ..."),
        ("proof", f"{len(proof.openings)} openings, {len(proof.fri_roots)} layers, {proof.parameters[1]} queries", "claim, journal"),
        ("receipt", f"{len(run.receipt.to_bytes()):,} bytes: all that is sent", "numpy, the image ID"),
        ("verdict", f"accepted, {run.receipt.security_bits()} proven bits", ""),
    )  # fmt: skip
    picture = Picture(WIDTH, 20 + 74 * len(stages) - 26, "From source to verdict: seven stages of the guest hello")
    for number, (name, what, step) in enumerate(stages):
        top = 10 + 74 * number
        sent = number >= 5
        picture.box(60, top, 400, 46, "#eaf5ec" if sent else "#eef3f8", "#9cc4a4" if sent else "#b9c6d3")
        picture.text(76, top + 28, name, 15, bold=True)
        picture.text(166, top + 28, what, 12.5)
        if step:
            picture.line(110, top + 46, 110, top + 72, arrow=True)
            picture.text(122, top + 64, step, 12, FAINT)
    return picture


def loaded_to_verify() -> set[str]:
    """The modules that a process loads to verify receipts."""
    code = "import sys, zkvm.verifier.receipt; print(*(name for name in sys.modules if name.startswith('zkvm.')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def wings() -> Picture:
    """The two wings and what joins them; which packages a verifier loads."""
    columns = (
        ("riscv: the machine", 14, ("isa", "vm", "chips", "machine", "header", "segments", "fills", "kernels"), "zkvm.riscv"),
        ("stark: the proof system", 274, ("field", "crypto", "air", "protocol", "verifier", "tables", "prover", "kernels"), "zkvm.stark"),
    )
    loaded, ends = loaded_to_verify(), {True: ("#eaf5ec", "#9cc4a4"), False: ("#fdf1e7", "#dfb48f")}
    rows = max(len(names) for _, _, names, _ in columns)
    picture = Picture(WIDTH, 60 + 34 * rows + 94, "The two wings of the package, and what joins them")
    for title, left, names, package in columns:
        picture.text(left + 116, 26, title, 15, anchor="middle", bold=True)
        for number, name in enumerate(names):
            picture.box(left, 40 + 34 * number, 232, 28, *ends[f"{package}.{name}" in loaded])
            picture.text(left + 10, 59 + 34 * number, f"{package}.{name}", 12.5)
        picture.line(left + 116, 42 + 34 * rows, left + 116, 67 + 34 * rows, arrow=True)
    for number, (name, verifies) in enumerate((("zkvm.verifier: receipts, image IDs", True), ("zkvm.api, session: runs, proofs", False))):
        picture.box(14 + 260 * number, 70 + 34 * rows, 232, 28, *ends[verifies])
        picture.text(24 + 260 * number, 89 + 34 * rows, name, 12.5)
    for number, (verifies, words) in enumerate(((True, "loaded to verify a receipt: numpy"), (False, "only to run and prove"))):
        picture.box(40 + 250 * number, 122 + 34 * rows, 18, 14, *ends[verifies])
        picture.text(64 + 250 * number, 134 + 34 * rows, words, 12, FAINT)
    return picture


def bus_names(chip: Chip) -> set[str]:
    """The buses that a chip is on, with all range lookups as one."""
    buses = chip.air_buses
    messages = [message for pair in buses.pairs for message in (pair.send, pair.receive) if message is not None]
    messages += [lookup.message for lookup in buses.lookups] + [own.message for own in buses.contributions]
    return {"ranges" if message.bus.name in RANGES else message.bus.name for message in messages}


def bus_graph(chips: Sequence[Chip], title: str) -> Picture:
    """Chips on both sides, buses between them, a line where a chip is on a bus."""
    on = {chip.name: bus_names(chip) for chip in chips}
    order = ["ranges" if bus.name in RANGES else bus.name for bus in machine().buses]
    names = [name for name in dict.fromkeys(order) if any(name in buses for buses in on.values())]
    sides = [list(on)[0::2], list(on)[1::2]]
    step, gap = 21, 24
    height = max(step * max(map(len, sides)), gap * len(names)) + 50
    picture = Picture(WIDTH, height, title)
    places = {name: 40 + (height - 50) * (number + 0.5) / len(names) for number, name in enumerate(names)}
    for side, (edge, anchor, bus_edge) in zip(sides, ((150, "end", 208), (370, "start", 312)), strict=True):
        for number, name in enumerate(side):
            y = 40 + (height - 50) * (number + 0.5) / len(side)
            picture.text(edge + (-6 if anchor == "end" else 6), y + 4, name, 11.5, anchor=anchor)
            for bus in sorted(on[name]):
                picture.curve(edge, y, bus_edge, places[bus], COLOURS[names.index(bus) % len(COLOURS)])
    for number, name in enumerate(names):
        picture.box(208, places[name] - 9, 104, 18, "#ffffff", COLOURS[number % len(COLOURS)])
        picture.text(260, places[name] + 4, name, 11.5, COLOURS[number % len(COLOURS)], "middle", bold=True)
    for x, words in ((150, "chips"), (260, "buses"), (370, "chips")):
        picture.text(x, 22, words, 13, FAINT, "middle")
    return picture


def rounds(run: Run) -> Picture:
    """Who says what in which order, with the tour's sizes."""
    proof = run.proof
    terminals, openings = proof.terminals.size // 3, len(proof.openings)
    exchange = (
        ("statement", "program, journal, heights", ""),
        ("1", "root of the main columns", "alpha, beta"),
        ("2", f"root of the bus columns, {terminals} terminals", "constraint challenge"),
        ("3", "root of quotient and mask", "zeta"),
        ("4", f"{openings} openings at zeta", "batching challenge"),
        ("5", f"{len(proof.fri_roots)} layers: a root each", "a folding challenge each"),
        ("6", f"final polynomial, {len(proof.final)} coefficients", ""),
        ("7", "proof of work, 20 bits", f"{proof.parameters[1]} positions"),
        ("8", "rows and paths there", ""),
    )
    answers = sum(bool(answer) for _, _, answer in exchange)
    picture = Picture(WIDTH, 70 + 30 * (len(exchange) + answers), "The rounds of the protocol between prover and verifier")
    left, right, y = 70, WIDTH - 90, 58
    picture.text(left, 28, "prover", 15, anchor="middle", bold=True)
    picture.text(right, 28, "verifier (a hash)", 15, anchor="middle", bold=True)
    for x in (left, right):
        picture.line(x, 38, x, picture.height - 12, width=1.5)
    for number, said, answer in exchange:
        picture.text(left - 10, y + 4, number if number != "statement" else "0", 12, FAINT, "end")
        picture.text((left + right) / 2, y - 3, said, 12.5, anchor="middle")
        picture.line(left + 4, y + 4, right - 4, y + 4, "#2f6db5", arrow=True)
        y += 30
        if answer:
            picture.text((left + right) / 2, y - 3, answer, 12.5, "#c2571a", anchor="middle")
            picture.line(right - 4, y + 4, left + 4, y + 4, "#c2571a", arrow=True)
            y += 30
    return picture


def bars(title: str, entries: Sequence[tuple[str, float, str]]) -> Picture:
    """A bar for each entry: its name, its length as a number, and what stands at its end."""
    picture = Picture(WIDTH, 44 + 26 * len(entries), title)
    picture.text(16, 26, title, 14, bold=True)
    largest = max(value for _, value, _ in entries)
    for number, (name, value, label) in enumerate(entries):
        y = 42 + 26 * number
        picture.text(186, y + 13, name, 12, anchor="end")
        picture.bar(194, y, 230 * value / largest, 18, COLOURS[0])
        picture.text(200 + 230 * value / largest, y + 13, label, 12, FAINT)
    return picture


def bytes_of_receipt(run: Run) -> Picture:
    """Where the bytes of the tour's receipt are."""
    entries = [(str(name), float(str(size).replace(",", "")), str(size)) for name, size, share in parts(run) if share]
    return bars(f"Bytes of the receipt of hello: {len(run.receipt.to_bytes()):,}", entries)


def phases(measured: dict[str, Any]) -> Picture:
    """Where the time of a proof of a million cycles goes."""
    chosen = max((entry for entry in measured["runs"] if entry["params"] == "balanced"), key=lambda entry: entry["cycles"])
    pairs = zip(measured["phases"], chosen["by_phase"], strict=True)
    title = f"Seconds of a proof of {chosen['cycles']:,} cycles, balanced: {chosen['seconds']}"
    return bars(title, [(name, seconds, f"{seconds:.2f} s") for name, seconds in pairs])


def growth(measured: dict[str, Any]) -> Picture:
    """Seconds and memory by cycles, both axes logarithmic."""
    picture = Picture(WIDTH, 330, "Seconds and memory of a proof by cycles")
    sides = (("seconds", "seconds", 50, (0.25, 4.0)), ("memory_mib", "memory, MiB", 310, (128.0, 2048.0)))
    cycles = sorted({entry["cycles"] for entry in measured["runs"]})
    low, high = math.log(cycles[0] / 1.3), math.log(cycles[-1] * 1.3)
    for key, title, left, (least, most) in sides:
        picture.text(left, 26, title, 14, bold=True)

        def across(count: float, left: int = left) -> float:
            return left + 170 * (math.log(count) - low) / (high - low)

        def up(value: float, least: float = least, most: float = most) -> float:
            return 260 - 200 * math.log(value / least) / math.log(most / least)

        tick = least
        while tick <= most:
            picture.line(left, up(tick), left + 170, up(tick), "#dde4ea", 1)
            picture.text(left - 6, up(tick) + 4, f"{tick:g}", 11, FAINT, "end")
            tick *= 2
        for count in cycles:
            picture.text(across(count), 278, f"{count / 1000:,.0f} k", 11, FAINT, "middle")
        for number, params in enumerate(("fast", "balanced")):
            found = sorted((entry for entry in measured["runs"] if entry["params"] == params), key=lambda entry: entry["cycles"])
            picture.path([(across(entry["cycles"]), up(entry[key])) for entry in found], COLOURS[number])
    picture.text(WIDTH / 2, 298, "cycles", 12, FAINT, "middle")
    for number, params in enumerate(("fast", "balanced")):
        picture.bar(170 + 100 * number, 308, 14, 10, COLOURS[number])
        picture.text(190 + 100 * number, 318, params, 12, INK)
    return picture


def pictures() -> Iterator[tuple[str, Picture]]:
    """All of them, by name."""
    run, measured = proven(), json.loads((FOLDER / "measured.json").read_text())
    here: Collection[str] = {entry.chip.name for entry in run.tables}
    firsts = [chip for chip in machine().chips if chip.first is None]
    yield "pipeline", pipeline(run)
    yield "wings", wings()
    yield "buses", bus_graph([chip for chip in firsts if chip.name in here], "The buses of the guest hello, and the chips on them")
    yield "all-buses", bus_graph(firsts, "All buses of the machine, and the chips on them")
    yield "rounds", rounds(run)
    yield "bytes", bytes_of_receipt(run)
    yield "phases", phases(measured)
    yield "growth", growth(measured)


def run(arguments: Sequence[str]) -> int:
    """Entry point of the script, with exit code."""
    parser = argparse.ArgumentParser(prog="draw.py", description="Draw the pictures of the documentation.")
    parser.add_argument("--check", action="store_true", help="compare with the committed pictures")
    options = parser.parse_args(arguments)
    stale = []
    for name, picture in pictures():
        path, text = FOLDER / f"{name}.svg", str(picture)
        if not options.check:
            path.write_text(text)
        elif not path.is_file() or path.read_text() != text:
            stale.append(path.relative_to(ROOT))
    for path in stale:
        print(f"{path} is not current: python tools/draw.py draws it")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
