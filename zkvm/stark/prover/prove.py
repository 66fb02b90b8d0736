"""The protocol, prover's side. The numbers are those of ``docs/protocol.md`` and of ``zkvm/stark/verifier/verify.py``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zkvm.stark.air.layout import EXTENSION
from zkvm.stark.air.machine import Machine
from zkvm.stark.air.table import Table
from zkvm.stark.crypto.merkle import SALT_WORDS
from zkvm.stark.crypto.transcript import Transcript
from zkvm.stark.field import extension, goldilocks
from zkvm.stark.field.extension import Ext
from zkvm.stark.kernels.ntt import evaluate_coset
from zkvm.stark.protocol.joint import Joined, all_params
from zkvm.stark.protocol.params import FOLDING, GRINDING_BITS, Parameters
from zkvm.stark.protocol.proof import LayerOpening, Proof, TreeOpening
from zkvm.stark.protocol.shape import BUS_TREE, MAIN_TREE, MASK_COLUMNS, QUOTIENT_COLUMNS, ProofShape, opened_positions
from zkvm.stark.protocol.statement import Statement
from zkvm.stark.protocol.steps import DOMAIN, Steps
from zkvm.stark.prover.columns import Committed, extend
from zkvm.stark.prover.commit import MerkleTree
from zkvm.stark.prover.deep import deep_codeword, fold_layers, open_columns, opened_matrices
from zkvm.stark.prover.grinding import search_nonce
from zkvm.stark.prover.interaction import bus_columns
from zkvm.stark.prover.preprocessed import Preprocessed, by_height
from zkvm.stark.prover.quotient import quotient_chunks
from zkvm.stark.prover.randomness import Randomness
from zkvm.stark.prover.tasks import share_out

U64 = NDArray[np.uint64]
_SPENT: U64 = np.zeros((0, 0), np.uint64)
Progress = Callable[[str, float], None]
"""Called with the phase that begins and the share of the work done before it, in [0, 1]."""

PHASES = {"main": 0.0, "bus": 0.25, "quotient": 0.5, "openings": 0.75, "fri": 0.85, "queries": 0.95}


@dataclass
class Clock:
    """Measures the phases, and reports progress.

    Attributes:
        progress: called at the begin of each phase.
        seconds: seconds by phase.
    """

    progress: Progress | None
    seconds: dict[str, float] = field(default_factory=dict)
    _phase: str = ""
    _since: float = 0.0

    def phase(self, name: str) -> None:
        """End the current phase and begin another; '' ends."""
        now = time.perf_counter()
        if self._phase:
            self.seconds[self._phase] = now - self._since
        self._phase, self._since = name, now
        if self.progress is not None:
            self.progress(name, PHASES.get(name, 1.0))


def prove_tables(
    machine: Machine,
    parameters: Parameters,
    statement: Statement,
    tables: Sequence[Table],
    preprocessed: Preprocessed,
    *,
    randomness: Randomness | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    transcript: Transcript | None = None,
) -> tuple[Proof, dict[str, float]]:
    """Prove that the tables satisfy the machine and close with the statement.

    Args:
        machine: the machine.
        parameters: the parameter set.
        statement: what the proof is about.
        tables: present tables in machine order. They are consumed: the exempt rows are overwritten with randomness, and the main
            columns are dropped as soon as only their extension is needed.
        preprocessed: the preprocessed columns, committed under the parameters' blowup.
        randomness: ``Randomness.zeros()`` for a proof without zero knowledge; fresh system randomness by default.
        threads: at most this many.
        progress: called at the begin of each phase.
        transcript: for tests that replay challenges.

    Returns:
        The proof, and seconds by phase.

    Raises:
        ProvingError: a constraint does not hold. (An unbalanced bus gives a proof that verification refuses.)
    """
    clock = Clock(progress)
    begun = transcript or Transcript(DOMAIN)
    proof, _ = prove_opened(machine, parameters, statement, tables, preprocessed, randomness or Randomness(), threads, clock, begun)
    return proof, clock.seconds


def prove_opened(
    machine: Machine,
    parameters: Parameters,
    statement: Statement,
    tables: Sequence[Table],
    preprocessed: Preprocessed,
    randomness: Randomness,
    threads: int,
    clock: Clock,
    transcript: Transcript,
    joined: Joined | None = None,
) -> tuple[Proof, NDArray[np.int64]]:
    """The same, and the positions that the proof opens.

    Args:
        machine: as above; so are the others that are not listed.
        parameters: the parameter set.
        statement: what the proof is about.
        tables: present tables in machine order.
        preprocessed: the preprocessed columns.
        randomness: for everything but early columns.
        threads: at most this many.
        clock: measures the phases.
        transcript: in which the proof begins.
        joined: of a proof that is joined with others (:mod:`zkvm.stark.prover.joint`), what it has from them.
    """
    shape, ordered, committed = arranged(machine, parameters, tables)
    # 0 ----- everything public enters the transcript
    steps = Steps(transcript)
    if joined is not None:
        steps.joined(joined)
    steps.statement(machine, statement, shape, not randomness.is_zero)
    # 1 ----- main columns
    clock.phase("main")
    randomize_tables(shape, ordered, randomness)
    main_tree = commit_main(shape, ordered, committed, preprocessed, randomness, threads)
    alpha, beta = steps.main(main_tree.root)
    # 2 ----- bus columns and terminals
    clock.phase("bus")
    bus_tree, terminals = commit_bus(shape, ordered, committed, alpha, beta, randomness, threads, joined)
    listed = [part for entry in shape.tables for part in terminals[entry.code.chip.name]]
    terminal_array = np.array(listed, np.uint64).reshape(-1, EXTENSION)
    challenge = steps.bus(bus_tree.root, terminal_array)
    # 3 ----- quotient chunks and mask
    clock.phase("quotient")
    chunks = quotient_chunks(shape, list(committed.values()), alpha, beta, challenge, terminals, randomness, threads, joined)
    quotient_lde, quotient_tree = commit_quotient(shape, chunks, randomness, threads)
    del chunks
    zeta = steps.quotient(quotient_tree.root)
    # 4 ----- openings
    clock.phase("openings")
    matrices = opened_matrices(shape, committed, quotient_lde[:QUOTIENT_COLUMNS])
    openings = open_columns(shape, matrices, zeta, threads)
    batching = steps.openings(openings)
    # 5 ----- batched codeword and FRI layers
    clock.phase("fri")
    codeword = deep_codeword(shape, matrices, quotient_lde[QUOTIENT_COLUMNS:], openings, zeta, batching, threads, joined)
    layers, final = fold_layers(shape, codeword, steps, threads)
    # 6 ----- final polynomial
    seed = steps.final(final)
    # 7 ----- proof of work, query positions
    clock.phase("queries")
    nonce = search_nonce(seed, GRINDING_BITS, threads)
    positions = steps.queries(nonce, parameters.queries, parameters.blowup * shape.tallest)
    # 8 ----- openings at the positions
    trees = preprocessed.tree, main_tree, bus_tree, quotient_tree
    proof = _opened(shape, randomness, trees, terminal_array, openings, layers, final, nonce, positions)
    clock.phase("")
    return proof, positions


def _opened(
    shape: ProofShape,
    randomness: Randomness,
    trees: tuple[MerkleTree, MerkleTree, MerkleTree, MerkleTree],
    terminals: U64,
    openings: U64,
    layers: Sequence[MerkleTree],
    final: U64,
    nonce: int,
    positions: NDArray[np.int64],
) -> Proof:
    """The proof: what the transcript took, and the trees of preprocessed, main, bus and quotient columns opened at the positions."""
    preprocessed, main, bus, quotient = trees
    return Proof(
        parameters=shape.parameters.numbers, zk=not randomness.is_zero, log_heights=shape.log_heights,
        main_root=main.root, bus_root=bus.root, quotient_root=quotient.root,
        terminals=terminals, openings=openings,
        fri_roots=tuple(tree.root for tree in layers), final=final, nonce=nonce,
        preprocessed=open_tree(preprocessed, positions, shape, salted=False),
        main=open_tree(main, positions, shape),
        bus=open_tree(bus, positions, shape),
        quotient=open_tree(quotient, positions, shape),
        layers=open_layers(layers, positions, shape),
    )  # fmt: skip


def arranged(machine: Machine, parameters: Parameters, tables: Sequence[Table]) -> tuple[ProofShape, list[Table], dict[str, Committed]]:
    """The shape of the proof, the tables in its order, and a place for the columns of each."""
    by_name = {table.chip.name: table for table in tables}
    logs = tuple(by_name[chip.name].height.bit_length() - 1 if chip.name in by_name else 0 for chip in machine.chips)
    shape = ProofShape(machine, parameters, logs)
    ordered = [by_name[entry.code.chip.name] for entry in shape.tables]
    committed = {
        table.chip.name: Committed(table.chip, entry.code, table.height, table.active)
        for table, entry in zip(ordered, shape.tables, strict=True)
    }
    return shape, ordered, committed


def randomize_tables(shape: ProofShape, tables: Sequence[Table], randomness: Randomness) -> None:
    """Uniform exempt rows; start values of the running columns in the last row: sums add to 0, products multiply to 1.

    Without zero knowledge the rows are 0, and every product starts at 1. Early columns, and with them the starts of joint products, have
    been committed before.
    """
    sums: list[U64] = []
    products: list[U64] = []
    for table, entry in zip(tables, shape.tables, strict=True):
        exempt, early = table.height - table.active, table.chip.early
        table.main[early:, table.active :] = randomness.elements(f"main rows {table.chip.name}", (table.main.shape[0] - early, exempt))
        plan = entry.code.plan
        for rank, number in enumerate(plan.running):
            if rank < plan.joint:
                continue
            first = plan.start(rank)
            cells = table.main[first : first + EXTENSION, -1]
            (sums if plan.has_sum and number == plan.extension_columns - 1 else products).append(cells)
    if randomness.is_zero:
        for cells in products:
            cells[:] = (1, 0, 0)
        return
    if sums:
        sums[-1][:] = goldilocks.neg(extension.total(np.array(sums[:-1], np.uint64).reshape(-1, EXTENSION)))
    product = extension.ONE
    for cells in products[:-1]:
        product = extension.ext_mul(product, extension.to_ext(cells))
    if products:
        products[-1][:] = extension.ext_inv(product)


def _salt(randomness: Randomness, tree: str, shape: ProofShape, threads: int) -> U64:
    return randomness.elements(f"salt {tree}", (SALT_WORDS, shape.parameters.blowup, shape.tallest), threads)


def commit_main(
    shape: ProofShape,
    tables: Sequence[Table],
    committed: dict[str, Committed],
    preprocessed: Preprocessed,
    randomness: Randomness,
    threads: int,
) -> MerkleTree:
    """Extend and commit the main columns of every table."""
    targets = [committed[table.chip.name] for table in tables]
    for target in targets:
        if (name := target.chip.name) in preprocessed.columns:
            target.pre_lde, target.pre_extra = preprocessed.lde[name], preprocessed.extra[name]

    def work(number: int, threads: int) -> None:
        target = targets[number]
        target.main_lde, target.main_extra, _ = extend(tables[number].main, shape.parameters.blowup, threads)

    share_out(work, [table.main.size for table in tables], threads)
    levels = by_height([target.of_tree(MAIN_TREE) for target in targets])
    return MerkleTree.commit(levels, _salt(randomness, "main", shape, threads), threads)


def commit_bus(
    shape: ProofShape,
    tables: Sequence[Table],
    committed: dict[str, Committed],
    alpha: Ext,
    beta: Ext,
    randomness: Randomness,
    threads: int,
    joined: Joined | None = None,
) -> tuple[MerkleTree, dict[str, list[Ext]]]:
    """Fill, extend and commit the bus columns of every table; nothing needs its trace afterwards."""
    targets = [committed[table.chip.name] for table in tables]
    params = all_params(shape.machine, alpha, beta, joined)
    terminals: dict[str, list[Ext]] = {}

    def work(number: int, threads: int) -> None:
        table, target = tables[number], targets[number]
        columns, terminals[table.chip.name] = bus_columns(table, target.code, params, randomness, threads)
        table.main = _SPENT
        target.bus_lde, target.bus_extra, target.next_extra = extend(columns, shape.parameters.blowup, threads, with_next=True)

    share_out(work, [target.height * target.code.widths[BUS_TREE] for target in targets], threads)
    levels = by_height([target.bus_lde for target in targets])
    return MerkleTree.commit(levels, _salt(randomness, "bus", shape, threads), threads), terminals


def commit_quotient(shape: ProofShape, chunks: U64, randomness: Randomness, threads: int) -> tuple[U64, MerkleTree]:
    """Extend and commit the quotient chunks (9, N), coefficients, and a uniform mask."""
    mask = randomness.elements("mask", (MASK_COLUMNS, shape.tallest), threads)
    lde = evaluate_coset(np.concatenate([chunks, mask]), shape.tallest, shape.parameters.blowup, threads=threads)
    return lde, MerkleTree.commit([lde], _salt(randomness, "quotient", shape, threads), threads)


def open_tree(tree: MerkleTree, positions: NDArray[np.int64], shape: ProofShape, *, salted: bool = True) -> TreeOpening:
    """Rows of a tree at the query positions; a shorter tree at the positions folded onto it."""
    height = tree.leaf_count // shape.parameters.blowup
    opening = tree.open(opened_positions(positions, shape.tallest, height))
    return TreeOpening(tuple(opening.rows), opening.salts if salted else None, opening.siblings)


def open_layers(layers: Sequence[MerkleTree], positions: NDArray[np.int64], shape: ProofShape) -> tuple[LayerOpening, ...]:
    """Leaves of every FRI layer at the query positions."""
    opened = []
    for tree, height in zip(layers, shape.fri_heights, strict=True):
        leaves, siblings = tree.open_fri(opened_positions(positions, shape.tallest, height // FOLDING))
        opened.append(LayerOpening(leaves, siblings))
    return tuple(opened)
