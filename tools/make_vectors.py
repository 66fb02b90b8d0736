"""Test vectors of the protocol, step by step, for whoever writes a second verifier: tests/vectors/.

``python tools/make_vectors.py`` writes them, ``--check`` compares them with what the code does now. ``docs/protocol.md`` explains them.
Numbers are decimal strings (they need 64 bits), extension elements lists of three, bytes hexadecimal.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np

from tools.refused_vectors import refused, refused_sums
from tools.tensor_network import network, sample, vector_bytes
from zkvm import api
from zkvm.riscv.header import run_statement
from zkvm.riscv.machine import machine, memory_machine, segment_machine
from zkvm.riscv.segments import segmented_statement
from zkvm.stark.air.evaluate import evaluate_point
from zkvm.stark.air.machine import ACTIVE, START, TERMINAL, Machine
from zkvm.stark.crypto.hashes import KEY_LEAF, KEY_NODE, blake3
from zkvm.stark.crypto.merkle import chain_leaves, hash_pairs
from zkvm.stark.crypto.transcript import Kind, Transcript
from zkvm.stark.field import extension
from zkvm.stark.field.extension import ONE, ZERO, Ext, ext_add, ext_inv, ext_mul, ext_pow, from_ext, to_ext
from zkvm.stark.field.goldilocks import P, coset_shift, root_of_unity
from zkvm.stark.protocol.joint import JOINT_DOMAIN
from zkvm.stark.protocol.params import GRINDING_BITS, Policy
from zkvm.stark.protocol.proof import Proof
from zkvm.stark.protocol.shape import ProofShape, params_of, shared_params, tree_positions
from zkvm.stark.protocol.steps import DOMAIN, GRINDING_LABEL, Steps
from zkvm.stark.verifier.constraints import closing_fingerprints, quotient_value, selectors, split_openings, terminals_by_table
from zkvm.stark.verifier.fri import deep_values, fold_for_all, points_at
from zkvm.stark.verifier.joint import verify_joint
from zkvm.stark.verifier.lockstep import in_lockstep
from zkvm.verifier.receipt import Receipt

FOLDER = ROOT / "tests" / "vectors"
GUEST = ROOT / "guest_programs" / "hello" / "hello.elf"
HASHED = (0, 1, 63, 64, 65, 127, 1023, 1024, 1025, 2048, 2049, 3072, 3073, 5120, 7169, 10_000)
"""Lengths around those of blocks, chunks and subtrees."""
SHOWN = 3
"""Query positions whose values are listed."""


class RecordingTranscript(Transcript):
    """A transcript that remembers its state after each step."""

    states: list[dict[str, Any]]

    def __init__(self, domain: str) -> None:
        self.states = []
        super().__init__(domain)

    def _step(self, state: bytes, label: str, kind: Kind, length: int) -> None:
        super()._step(state, label, kind, length)
        self.states.append({"label": label, "kind": int(kind), "length": length, "state": state.hex()})


def ext(value: Ext) -> list[str]:
    """An extension element."""
    return [str(int(part)) for part in value]


def numbers(values: Any) -> Any:
    """An array of field elements."""
    return [numbers(value) for value in values] if np.ndim(values) else str(int(values))


def primitives() -> dict[str, Any]:
    """What does not depend on the machine: field, extension, hashes, transcript, domains, folding."""
    a, b = (3, P - 1, 1 << 63), (P - 2, 5, 1 << 32)
    transcript = RecordingTranscript("vectors")
    transcript.absorb_bytes("bytes", b"abc")
    transcript.absorb_int("integer", 2**64 - 1)
    transcript.absorb_elements("elements", np.array([0, 1, P - 1], np.uint64))
    drawn, indices = transcript.draw_extension("challenge"), transcript.draw_indices("indices", 5, 1 << 20)
    seed = transcript.grinding_seed("work")
    row, salt = np.arange(1, 6, dtype=np.uint64)[None], np.array([[6, 7]], np.uint64)
    leaf = chain_leaves([row, row + np.uint64(10)], salt)
    eight = np.arange(24, dtype=np.uint64).reshape(1, 8, 3) * np.uint64(0x1234_5678_9ABC)
    x = points_at(512, 4, coset_shift(512), np.array([1000], np.int64))
    return {
        "field": {"p": str(P), "generator": "7", "roots": {str(k): str(root_of_unity(1 << k)) for k in (1, 3, 9, 15, 24, 32)}},
        "extension": {
            "a": ext(a), "b": ext(b), "product": ext(ext_mul(a, b)), "inverse of a": ext(ext_inv(a)), "a^1000": ext(ext_pow(a, 1000)),
        },
        "blake3": {"abc": blake3(b"abc").hex(), "key of leaves": KEY_LEAF.hex(), "key of nodes": KEY_NODE.hex(), "by length": hashes()},
        "leaf": {
            "rows, short to tall": [numbers(row[0]), numbers(row[0] + np.uint64(10))], "salt": numbers(salt[0]),
            "digest": leaf[0].tobytes().hex(),
        },
        "node": {"of that leaf twice": hash_pairs(np.concatenate([leaf, leaf]))[0].tobytes().hex()},
        "transcript": {
            "domain": "vectors",
            "steps": transcript.states,
            "challenge": ext(drawn),
            "indices below 2^20": indices.tolist(),
            "grinding seed 'work'": seed.hex(),
        },
        "domain": {
            "coset shifts": {str(1 << k): str(coset_shift(1 << k)) for k in (9, 15, 20, 24)},
            "height 512, blowup 4, position 1000": numbers(x[0]),
        },
        "fold": {"leaf": numbers(eight[0]), "x": numbers(x[0]), "challenge": ext(a), "value": numbers(fold_for_all([(eight, x, a)])[0][0])},
    }  # fmt: skip


def hashes() -> dict[str, dict[str, str]]:
    """Hashes of the first bytes of 0, 1, ... 250, 0, 1, ...: plain, keyed with the first 32 of them, and 150 bytes of the output stream."""
    data = bytes(i % 251 for i in range(10_000))
    return {
        str(length): {
            "plain": blake3(data[:length]).hex(),
            "keyed": blake3(data[:length], key=data[:32]).hex(),
            "stream": blake3(data[:length], length=150).hex(),
        }
        for length in HASHED
    }


def receipt() -> Receipt:
    """A receipt that is the same every time: no randomness, so it hides nothing."""
    return api.prove(GUEST, params="compact", security=100, zk=False, verify=False).receipt


def of_network() -> Receipt:
    """The same of a network in tensor calls, which has sums."""
    return api.prove(network(), vector_bytes(sample()), params="compact", security=100, zk=False, verify=False).receipt


def in_segments() -> Receipt:
    """The same run in segments of a third of its instructions."""
    cycles = api.execute(GUEST).cycles
    return api.prove(GUEST, params="compact", security=100, zk=False, verify=False, segment_cycles=-(-cycles // 3)).receipt


def joint(made: Receipt) -> dict[str, Any]:
    """The machines of a receipt in segments, and every state of its joint transcript."""
    assert made.segmented is not None
    states: dict[str, RecordingTranscript] = {}

    def begin(domain: str) -> Transcript:
        states[domain] = RecordingTranscript(domain)
        return states[domain]

    journal = made.segmented.parts(made.journal)
    statement, parts = segmented_statement(made.header, made.parameters, journal, made.claim.exit_code)
    shapes = verify_joint(statement, parts, made.segmented.proofs, Policy(), begin)
    return {
        "receipt": "segments.receipt",
        "image id": made.claim.image_id.hex(),
        "segments": made.segments,
        "segment machine": segment_machine().digest.hex(),
        "memory machine": memory_machine().digest.hex(),
        "heights": [{table.code.chip.name: table.height for table in shape.tables} for shape in shapes],
        "joint transcript": states[JOINT_DOMAIN].states,
    }


def run(made: Receipt, name: str) -> dict[str, Any]:
    """Every intermediate value of verifying a receipt, which is a file of that name."""
    proof = made.seal
    assert proof is not None
    statement = run_statement(made.header, made.parameters, made.journal, made.claim.exit_code)
    shape = ProofShape(machine(), made.parameters, proof.log_heights)
    transcript = RecordingTranscript(DOMAIN)
    steps = Steps(transcript)
    steps.statement(machine(), statement, shape, proof.zk)
    alpha, beta = steps.main(proof.main_root)
    challenge = steps.bus(proof.bus_root, proof.terminals)
    zeta = steps.quotient(proof.quotient_root)
    batching = steps.openings(proof.openings)
    folding = [steps.layer(number, root) for number, root in enumerate(proof.fri_roots)]
    seed = steps.final(proof.final)
    positions = steps.queries(proof.nonce, shape.parameters.queries, shape.parameters.blowup * shape.tallest)
    return {
        "receipt": name,
        "image id": made.header.image_id().hex(),
        "machine digest": machine().digest.hex(),
        "journal": made.journal.hex(),
        "parameters": list(proof.parameters),
        "heights": {table.code.chip.name: table.height for table in shape.tables},
        "absorbed header": made.header.to_bytes().hex(),
        "transcript": transcript.states,
        "challenges": {
            "alpha": ext(alpha), "beta": ext(beta), "constraints": ext(challenge), "zeta": ext(zeta), "batching": ext(batching),
            "folding": [ext(value) for value in folding],
        },
        "grinding": {"label": GRINDING_LABEL, "bits": GRINDING_BITS, "seed": seed.hex(), "nonce": str(proof.nonce)},
        "positions": positions.tolist(),
        "buses": buses(shape, proof, statement, alpha, beta),
        "constraints": constraints(shape, proof, alpha, beta, challenge, zeta),
        "openings": openings(shape, proof, positions, zeta, batching, folding),
    }  # fmt: skip


def buses(shape: ProofShape, proof: Proof, statement: Any, alpha: Ext, beta: Ext) -> dict[str, Any]:
    """The closing equation, factor by factor."""
    product, total = ONE, ZERO
    for table, values in zip(shape.tables, terminals_by_table(shape, proof.terminals), strict=True):
        has_sum = table.code.plan.has_sum
        for value in values[:-1] if has_sum else values:
            product = ext_mul(product, value)
        total = ext_add(total, values[-1]) if has_sum else total
    closings = [
        {
            "bus": entry.bus.name, "id": entry.bus.id, "sent": entry.sent, "tuples": numbers(entry.values),
            "fingerprints": numbers(closing_fingerprints(entry, alpha, beta)),
        }
        for entry in statement.closings
    ]  # fmt: skip
    return {"product of product terminals": ext(product), "sum of sum terminals": ext(total), "of the verifier": closings}


def constraints(shape: ProofShape, proof: Proof, alpha: Ext, beta: Ext, challenge: Ext, zeta: Ext) -> dict[str, Any]:
    """The constraints at zeta: weighted sums by table and group, divided by the vanishing polynomials, and the quotient."""
    leaves, quotient = split_openings(shape, proof.openings)
    combined, power, tables = ZERO, ONE, []
    shared = shared_params(alpha, beta, shape.machine.powers)
    for table, columns, own in zip(shape.tables, leaves, terminals_by_table(shape, proof.terminals), strict=True):
        params = params_of(shared, own)
        sums = {ACTIVE: ZERO, START: ZERO, TERMINAL: ZERO}
        values = evaluate_point(table.code.straight, dict(columns), params)
        for value, group in zip(values, table.code.groups, strict=True):
            sums[group] = ext_add(sums[group], ext_mul(power, value))
            power = ext_mul(power, challenge)
        point = ext_pow(zeta, shape.tallest // table.height)
        [[inverses]] = in_lockstep([selectors([table.height], shape.parameters.exempt, [point])])
        for group, inverse in zip((ACTIVE, START, TERMINAL), inverses, strict=True):
            combined = ext_add(combined, ext_mul(sums[group], inverse))
        names = ("active", "start", "terminal")
        tables.append(
            {
                "chip": table.code.chip.name,
                "constraints": len(values),
                "sums": {name: ext(sums[group]) for name, group in zip(names, (ACTIVE, START, TERMINAL), strict=True)},
                "1 / vanishing": {name: ext(value) for name, value in zip(names, inverses, strict=True)},
            }
        )
    value = quotient_value(shape, quotient, zeta)
    assert value == combined
    return {"tables": tables, "combined": ext(combined), "quotient at zeta": ext(value)}


def openings(shape: ProofShape, proof: Proof, positions: Any, zeta: Ext, batching: Ext, folding: list[Ext]) -> dict[str, Any]:
    """Leaf digests, batched values and folds at the first query positions."""
    trees = {"preprocessed": proof.preprocessed, "main": proof.main, "bus": proof.bus, "quotient": proof.quotient}
    leaves = {name: [leaf.tobytes().hex() for leaf in chain_leaves(tree.rows, tree.salts)[:SHOWN]] for name, tree in trees.items()}
    blowup, shift = shape.parameters.blowup, coset_shift(shape.tallest)
    [values] = in_lockstep([deep_values(shape, proof, positions, zeta, batching)])
    x = points_at(shape.tallest, blowup, shift, positions)
    result: dict[str, Any] = {"leaves": leaves, "x": numbers(x[:SHOWN]), "batched values": numbers(values[:SHOWN]), "layers": []}
    for height, layer, challenge in zip(shape.fri_heights, proof.layers, folding, strict=True):
        short = height // 8
        indices = np.unique(tree_positions(positions, height, short))
        base = indices // short * height + indices % short
        points = points_at(height, blowup, shift, base)
        [folded] = fold_for_all([(layer.leaves.reshape(len(indices), 8, 3), points, challenge)])
        digests = chain_leaves([layer.leaves[:SHOWN]], None)
        result["layers"].append(
            {
                "points": height * blowup, "leaf positions": indices[:SHOWN].tolist(), "x": numbers(points[:SHOWN]),
                "leaves": [digest.tobytes().hex() for digest in digests], "folded": numbers(folded[:SHOWN]),
            }
        )  # fmt: skip
        positions, shift = indices, pow(shift, 8, P)
    x = points_at(shape.final_length, blowup, shift, positions)[:SHOWN]
    powers = [extension.powers(to_ext(from_ext((int(point), 0, 0))), len(proof.final)) for point in x]
    result["final polynomial"] = {"x": numbers(x), "values": [numbers(extension.dot(power, proof.final)) for power in powers]}
    return result


def chips(listed: Machine) -> dict[str, Any]:
    """What the machine's text does not say outright: which bus columns run, whose second instance a chip is, fingerprints of a row."""
    view = {}
    for code in listed.codes:
        pre, main, bus = code.widths
        view[code.chip.name] = {
            "preprocessed": pre, "main": main, "bus": bus, "mandatory": code.chip.mandatory, "second instance of": code.chip.first,
            "running columns": list(code.plan.running), "last one is a sum": code.plan.has_sum,
            "opened at the next row": list(code.next_columns), "interactions": code.chip.air_buses.fingerprints,
        } | ({"joint": code.plan.joint} if code.plan.joint else {})  # fmt: skip
    return view


def machine_text() -> str:
    """The machine as the text that its digest hashes."""
    text = machine().description
    assert blake3(text.encode()) == machine().digest
    return text


def files() -> dict[str, bytes]:
    """Content of every file."""
    receipts = {"hello.receipt": receipt(), "tensors.receipt": of_network(), "segments.receipt": in_segments()}
    views = {name.replace("receipt", "json"): run(made, name) for name, made in receipts.items() if made.seal is not None}
    cut = receipts["segments.receipt"]
    views |= {"primitives.json": primitives(), "machine.json": chips(machine()), "segments.json": joint(cut)}
    views |= {"segments-refused.json": refused(cut), "tensors-refused.json": refused_sums(receipts["tensors.receipt"])}
    result = {name: (json.dumps(view, indent=1) + "\n").encode() for name, view in views.items()}
    result |= {name: made.to_bytes() for name, made in receipts.items()}
    return result | {"tensors.elf": network(), "machine.txt": machine_text().encode()}


def main(arguments: list[str]) -> int:
    """Write the vectors, or compare."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    stale = [name for name, content in files().items() if not (FOLDER / name).is_file() or (FOLDER / name).read_bytes() != content]
    if arguments:
        for name in stale:
            print(f"tests/vectors/{name} is not current: run python tools/make_vectors.py")
        return int(bool(stale))
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
