"""Writes ``docs/tour.md``: one run of the guest ``hello`` through every stage, with its real rows and bytes.

Usage: ``python tools/tour.py [--check]``. The blinding comes from a fixed seed here, so that the page is the same each time; a prover
takes the operating system's. ``--check`` makes the page again and compares it with the committed one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from zkvm.cli.guest import instructions
from zkvm.errors import VerificationError
from zkvm.riscv.fills import fill_rows
from zkvm.riscv.header import run_statement
from zkvm.riscv.isa import opcodes
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Execution
from zkvm.riscv.vm.elf import parse_elf
from zkvm.session.run import ExecutorEnv, read_elf, run_image
from zkvm.stark.air.check import table_entries
from zkvm.stark.air.table import Table
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field.extension import Ext
from zkvm.stark.field.goldilocks import P
from zkvm.stark.protocol.codec import encode_proof
from zkvm.stark.protocol.params import parameters
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.steps import DOMAIN
from zkvm.stark.prover.counting import merge_tuples
from zkvm.stark.prover.prove import prove_tables
from zkvm.stark.prover.randomness import SEED_BYTES, Randomness
from zkvm.stark.prover.roots import roots_with
from zkvm.stark.prover.tapes import evaluate_columns
from zkvm.stark.tables import build_tables
from zkvm.verifier.image import image_columns, image_header
from zkvm.verifier.receipt import Claim, Receipt, journal_digest

GUEST = ROOT / "guest_programs" / "hello"
PAGE = ROOT / "docs" / "tour.md"
TEMPLATE = Path(__file__).with_name("tour_template.md")
"""The words; the numbers come from the run."""
SEED = b"the tour of docs/tour.md".ljust(SEED_BYTES, b"\0")
PARAMETERS = ("balanced", 128)
FOLLOWED = "add_immediate"
"""The table whose first row is shown."""
WORD = 1 << 32
WRITE = 64
"""Number of the system call; the guest's only other one is exit."""
ABI = ("zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6").split()


class Recorded(Transcript):
    """A transcript that keeps what is drawn."""

    def __init__(self) -> None:
        super().__init__(DOMAIN)
        self.drawn: dict[str, Ext] = {}

    def draw_extension(self, label: str) -> Ext:
        """As ever, and kept."""
        self.drawn[label] = super().draw_extension(label)
        return self.drawn[label]


@dataclass
class Run:
    """Everything that the page shows."""

    elf: bytes
    execution: Execution
    tables: list[Table]
    proof: Proof
    receipt: Receipt
    transcript: Recorded = field(default_factory=Recorded)


def proven() -> Run:
    """One run of the guest, proven with the seed."""
    elf, image = read_elf(GUEST / "hello.elf")
    chosen, transcript = parameters(*PARAMETERS), Recorded()
    execution = run_image(elf, image, ExecutorEnv(), trace=True)
    columns = image_columns(image)
    committed, roots = roots_with(machine(), columns, chosen.blowup, 1)
    header = image_header(image, columns, roots)

    def filled() -> list[Table]:
        return build_tables(
            machine(), execution, image, chosen.exempt, preprocessed=columns, evaluate=evaluate_columns, merge=merge_tuples,
            fill=fill_rows, split_price=chosen.split_price,
        )  # fmt: skip

    statement = run_statement(header, chosen, execution.journal, execution.exit_code)
    proof, _ = prove_tables(machine(), chosen, statement, filled(), committed, randomness=Randomness(SEED), transcript=transcript)
    claim = Claim(header.image_id(), execution.exit_code, journal_digest(execution.journal), chosen.numbers)
    return Run(elf, execution, filled(), proof, Receipt(claim, header, execution.journal, proof), transcript)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def shown(value: int) -> str:
    """A field element, small ones and those just below p as people write them."""
    if value > P - WORD:
        return f"-{P - value}"
    return str(value) if value < WORD else f"0x{value:016x}"


def hexadecimal(data: bytes, width: int = 32) -> str:
    """Bytes in lines."""
    return "\n".join(data[start : start + width].hex() for start in range(0, len(data), width))


def extension(value: Ext) -> str:
    """An element of K by its coordinates."""
    return "(" + ", ".join(f"0x{int(coordinate):016x}" for coordinate in value) + ")"


def cycles(run: Run) -> Iterator[tuple[object, ...]]:
    """Every executed instruction in order: its time, its place, its text, and what it did."""
    program = {entry["pc"]: entry["text"] for entry in instructions(run.elf)}
    image = run.execution.image.program
    calls = [(int(call["time"]), int(call["row"]), called(call)) for call in run.execution.ecalls]
    steps = []
    for step in run.execution.steps:
        rd = int(image["rd"][step["row"]])
        name = ABI[rd - WORD] if WORD < rd < WORD + len(ABI) else ""
        effect = f"{name} = 0x{int(step['vd']):x}" if name else ""
        if int(image["op"][step["row"]]) in (opcodes.SW, opcodes.SB, opcodes.SH):
            effect = f"memory 0x{int(step['address']):x} = 0x{int(step['v2']):x}"
        steps.append((int(step["time"]), int(step["row"]), effect))
    for time, row, effect in sorted([*steps, *calls]):
        pc = int(image["pc"][row])
        yield time, f"0x{pc:x}", f"`{program[pc]}`", effect


def called(call: Any) -> str:
    """What a system call does."""
    number, first, length = int(call["a7"]), int(call["a0"]), int(call["a2"])
    return f"write({first}, {length} bytes)" if number == WRITE else f"exit({first})"


def table_rows(run: Run) -> Iterator[tuple[object, ...]]:
    """The present tables."""
    for entry in run.tables:
        columns = len(entry.chip.main)
        yield f"[{entry.chip.name}](air.md#{entry.chip.name})", entry.used, entry.height, columns, len(entry.chip.preprocessed)


def followed(run: Run) -> Table:
    """The table whose first row is shown."""
    return next(entry for entry in run.tables if entry.chip.name == FOLLOWED)


def tuples(run: Run) -> Iterator[tuple[object, ...]]:
    """What the first row of that table puts on the buses, and who takes it off again."""
    own = followed(run)
    others = [(entry.chip.name, bus, entries) for entry in run.tables for bus, entries in table_entries(entry)]
    for bus, entries in table_entries(own):
        for place in (entries.rows == 0).nonzero()[0]:
            values, count = entries.values[place].tolist(), int(entries.counts[place])
            sign = "+" if count < P // 2 else "-"
            partners = {
                name
                for name, other, found in others
                if other is bus
                for line, weight in zip(found.values.tolist(), found.counts.tolist(), strict=True)
                if line == values and (weight < P // 2) is (sign == "-")
            }
            text = ", ".join(shown(value) for value in values)
            yield bus.name, f"{sign}({text})", ", ".join(sorted(partners)) or "the verifier"


def layers(run: Run) -> Iterator[tuple[object, ...]]:
    """FRI's layers: values in each, its root, and the challenge that folds it."""
    points = run.proof.parameters[0] << max(run.proof.log_heights)
    for number, root in enumerate(run.proof.fri_roots):
        yield (
            number,
            points >> 3 * number,
            f"`{root.hex()[:16]}...`",
            f"`{extension(run.transcript.drawn[f'folding challenge {number}'])[:21]}...`",
        )


def parts(run: Run) -> Iterator[tuple[object, ...]]:
    """The receipt's bytes by what they are."""
    proof, whole = run.proof, len(run.receipt.to_bytes())
    sizes = {
        "claim, image header, journal": whole - len(encode_proof(proof)),
        "roots": 32 * (3 + len(proof.fri_roots)),
        "terminals": proof.terminals.nbytes,
        "openings at zeta": proof.openings.nbytes,
        "final polynomial": proof.final.nbytes,
    }
    for name in ("preprocessed", "main", "bus", "quotient"):
        opening = getattr(proof, name)
        sizes[f"rows of the {name} tree"] = sum(rows.nbytes for rows in opening.rows)
    sizes["leaves of FRI"] = sum(layer.leaves.nbytes for layer in proof.layers)
    sizes["Merkle paths, salts, lengths"] = whole - sum(sizes.values())
    for name, size in sizes.items():
        yield name, f"{size:,}", f"{100 * size / whole:.1f} %"
    yield "together", f"{whole:,}", ""


def verdicts(run: Run) -> Iterator[tuple[object, ...]]:
    """What the verifier says of the receipt, and of some that differ in one bit."""
    data, identity = run.receipt.to_bytes(), run.receipt.claim.image_id
    journal = data.index(run.receipt.journal)
    places = {
        "nothing": None,
        "the first byte": 0,
        "a byte of the journal": journal,
        "the byte in the middle": len(data) // 2,
        "the last byte": -1,
    }
    for name, place in places.items():
        changed = bytearray(data)
        if place is not None:
            changed[place] ^= 1
        try:
            Receipt.from_bytes(bytes(changed)).verify(identity)
            yield name, "accepted", ""
        except VerificationError as error:
            yield name, f"`{error.reason.value}`", error.detail


def page() -> str:
    """The page's text."""
    run = proven()
    parsed, receipt = parse_elf(run.elf), run.receipt
    shape = run.proof.log_heights
    own = followed(run)
    cells = [(f"`{name}`", shown(int(own.main[number, 0]))) for number, name in enumerate(own.chip.main)]
    half = -(-len(cells) // 2)
    rows = [(*left, *right) for left, right in zip(cells[:half], [*cells[half:], ("", "")], strict=False)]
    drawn = run.transcript.drawn
    segments = [(f"0x{entry.address:x}", entry.size, "r" + "w" * entry.writable + "x" * entry.executable) for entry in parsed.segments]
    return TEMPLATE.read_text().format(
        source=(GUEST / "main.c").read_text().strip(),
        elf_bytes=f"{len(run.elf):,}",
        segments=table(("address", "bytes", "may"), segments),
        instructions=len(run.execution.image.program),
        entry=f"0x{receipt.header.entry:x}",
        heights=", ".join(f"{height}" for height in receipt.header.heights),
        image_id=receipt.claim.image_id.hex(),
        cycles=run.execution.cycles,
        steps=table(("time", "pc", "instruction", "what it did"), cycles(run)),
        journal_hex=receipt.journal.hex(),
        tables=table(("table", "used rows", "height", "main columns", "fixed columns"), table_rows(run)),
        exempt=parameters(*PARAMETERS).exempt,
        followed=FOLLOWED,
        cells=table(("column", "value") * 2, rows),
        tuples=table(("bus", "tuple", "cancels with"), tuples(run)),
        main_columns=sum(len(entry.chip.main) for entry in run.tables),
        tallest=1 << max(shape),
        blowup=run.proof.parameters[0],
        points=run.proof.parameters[0] << max(shape),
        main_root=run.proof.main_root.hex(),
        alpha=extension(drawn["alpha"]),
        beta=extension(drawn["beta"]),
        bus_root=run.proof.bus_root.hex(),
        terminals=run.proof.terminals.size // 3,
        constraint_challenge=extension(drawn["constraint challenge"]),
        quotient_root=run.proof.quotient_root.hex(),
        zeta=extension(drawn["zeta"]),
        openings=len(run.proof.openings),
        batching=extension(drawn["batching challenge"]),
        layers=table(("layer", "values", "root", "challenge"), layers(run)),
        final=len(run.proof.final),
        nonce=run.proof.nonce,
        queries=run.proof.parameters[1],
        opened=len(run.proof.main.rows[0]),
        first_bytes=hexadecimal(receipt.to_bytes()[:160]),
        parts=table(("part", "bytes", "share"), parts(run)),
        verdicts=table(("changed", "verdict", "detail"), verdicts(run)),
        bits=receipt.security_bits(),
    )  # fmt: skip


def run(arguments: Sequence[str]) -> int:
    """Entry point of the script, with exit code."""
    parser = argparse.ArgumentParser(prog="tour.py", description="Write docs/tour.md.")
    parser.add_argument("--check", action="store_true", help="compare with the committed page")
    options = parser.parse_args(arguments)
    text = page()
    if not options.check:
        PAGE.write_text(text)
    elif not PAGE.is_file() or PAGE.read_text() != text:
        print(f"{PAGE.relative_to(ROOT)} is not current: python tools/tour.py writes it")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
