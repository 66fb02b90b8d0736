"""Who may import whom: the tables of :mod:`tests.test_layers`."""

from __future__ import annotations

# Unit (a module or package below zkvm) -> what of ours it may import, as dotted prefixes below zkvm.
INTERNAL: dict[str, tuple[str, ...]] = {
    "errors": (),
    "files": (),
    # The proof system: knows no RISC-V.
    "stark": (),
    "stark.field": (),
    "stark.crypto": ("errors", "stark.field"),
    "stark.air": ("errors", "stark.field", "stark.crypto.hashes"),  # the digest of a machine
    "stark.protocol": ("errors", "stark.field", "stark.crypto", "stark.air"),
    "stark.protocol.params": ("errors",),
    "stark.tables": (
        "errors", "stark.field", "stark.air", "stark.multiplicities", "stark.protocol.params", "stark.protocol.preprocessed",
    ),
    "stark.multiplicities": ("errors", "stark.air"),
    "stark.verifier": ("errors", "stark.field", "stark.crypto", "stark.air", "stark.protocol"),
    "stark.prover": (
        "errors", "stark.field", "stark.crypto", "stark.air", "stark.protocol", "stark.tables", "stark.multiplicities", "stark.kernels",
    ),
    "stark.kernels": ("stark.field.goldilocks",),  # constants
    "stark.kernels.library": ("stark.kernels", "stark.kernels.source.build"),  # the one way to the sources: kernels have to be compiled
    "stark.kernels.width": (),
    "stark.kernels.file": (),
    "stark.kernels.manifest": (),
    # What numba compiles; constants, and what is declared one package above.
    "stark.kernels.source": ("stark.field.goldilocks", "stark.air.operations", "stark.kernels"),
    # The machine: knows no proof. What its chips and statements are made of is the proof system's vocabulary.
    "riscv": (),
    "riscv.records": ("riscv.isa.opcodes", "riscv.isa.tensors"),
    "riscv.isa": ("errors", "riscv.records"),
    "riscv.isa.poseidon2": ("stark.field.goldilocks",),  # the field that it permutes in
    "riscv.operations": (),
    "riscv.kernels": ("stark.kernels.library",),
    "riscv.kernels.source": (
        "riscv.isa.opcodes", "riscv.records", "riscv.operations", "riscv.kernels",
        "stark.field.goldilocks", "stark.kernels.source",
    ),
    # Line numbers, for profiles.
    "riscv.vm.dwarf": ("riscv.vm",),
    "riscv.vm": ("errors", "files", "riscv.isa", "riscv.records", "riscv.kernels", "stark.crypto.hashes"),
    # The compression that a guest may call is the one of the proof system.
    "riscv.vm.compression": ("riscv.vm", "riscv.isa", "riscv.records", "stark.crypto.compression"),
    "riscv.chips.blake3": ("riscv.chips", "riscv.isa", "riscv.records", "stark.field", "stark.air", "stark.crypto.compression"),
    "riscv.chips": ("errors", "riscv.isa", "riscv.records", "riscv.operations", "stark.field", "stark.air"),
    # The range table has the same height under all parameter sets.
    "riscv.chips.range": ("riscv.chips", "riscv.records", "stark.air", "stark.protocol.params"),
    "riscv.digests": (),
    "riscv.machine": ("riscv.chips", "riscv.digests", "stark.air"),
    "riscv.header": (
        "errors", "riscv.isa.opcodes", "riscv.chips.buses", "riscv.machine",
        "stark.air.table", "stark.crypto.hashes", "stark.protocol.params", "stark.protocol.statement",
    ),
    "riscv.segments": (
        "errors", "riscv.chips.buses", "riscv.chips.segments.hand_over", "riscv.header", "riscv.machine",
        "stark.air", "stark.crypto.hashes", "stark.protocol",
    ),
    "riscv.fills": (
        "riscv.chips", "riscv.records", "riscv.kernels",
        "stark.air", "stark.tables", "stark.kernels.scratch",
    ),
    # What a relying party trusts: these, and what they import.
    "verifier": (
        "errors", "files", "riscv.machine", "riscv.header", "riscv.segments",
        "stark.air", "stark.crypto", "stark.protocol", "stark.verifier",
    ),
    # And these, to compute an image ID from a program.
    "verifier.image": (
        "errors", "riscv.machine", "riscv.header", "riscv.records", "riscv.vm.elf",
        "stark.air.machine", "stark.protocol.params", "stark.protocol.preprocessed",
    ),
    "verifier.__main__": ("errors", "files", "ml.interface", "stark.protocol.params", "verifier"),
    "session": ("errors", "riscv", "stark.protocol", "stark.tables"),
    "session.resources": ("errors",),
    "session.memory": ("errors",),
    # What a proof would take is known before it starts.
    "session.limits": (
        "errors", "riscv", "session.bound", "session.memory", "session.profiling", "session.resources", "stark.air.machine",
        "stark.protocol", "stark.tables", "stark.prover.memory",
    ),
    "session.run": (
        "errors", "riscv.records", "riscv.vm", "riscv.kernels.interpreter", "session.memory", "session.resources",
    ),
    "session.workdir": ("errors", "files"),
    # The driver of proofs in segments: executes, fills, proves.
    "session.segmented": ("errors", "riscv.segments", "session", "stark.air", "stark.protocol"),
    "session.cutting": ("errors", "riscv", "session", "stark.crypto.hashes", "stark.tables"),
    "session.lengths": ("errors", "riscv", "session", "stark.air", "stark.prover.memory", "stark.tables"),
    "session.bound": ("errors", "riscv", "session", "stark.air", "stark.protocol", "stark.tables"),
    # What a worker does.
    "session.pieces": (
        "errors", "riscv", "session", "stark.crypto.hashes", "stark.field", "stark.protocol", "stark.prover", "stark.tables",
    ),
    # Who has proofs from others looks at them.
    "session.checking": ("errors", "stark.crypto.transcript", "stark.protocol", "stark.verifier"),
    "session.preparing": (
        "riscv", "session.memory", "session.resources", "stark.air.machine", "stark.kernels", "stark.prover", "verifier.image",
    ),
    "session.child": ("session.resources",),
    "session.cluster": ("errors", "session"),
    "session.queue": ("errors", "session.child", "session.memory", "session.resources"),
    "session.setting": (
        "riscv", "session.bound", "stark.air", "stark.crypto.hashes", "stark.protocol", "stark.prover", "stark.tables",
        "stark.kernels.counting",
    ),
    "session.plan": (
        "errors", "riscv.records", "riscv.vm.checkpoint", "session.pieces", "stark.crypto.hashes", "stark.field", "stark.protocol",
        "stark.prover.joint", "stark.tables",
    ),
    "session.speed": ("riscv.machine", "stark.air", "stark.kernels.ntt", "session.memory", "session.resources"),
    "segments": ("errors", "riscv", "session", "stark.protocol", "stark.prover", "verifier"),
    "api": ("errors", "segments", "riscv", "stark", "verifier", "session"),
    "forecast": ("riscv", "session", "stark.protocol", "stark.prover.memory", "verifier.receipt"),
    "many": ("errors", "api", "session", "stark.protocol.params"),
    "poseidon2": ("errors", "riscv.isa.poseidon2", "riscv.isa.tensors"),
    "progress": (),
    "__init__": ("errors", "api", "many", "poseidon2", "progress", "session", "stark.protocol.params", "verifier"),
    "guest": ("errors", "files"),
    # What is built can be loaded.
    "guest.toolchain": ("errors", "files", "guest", "riscv.vm.elf"),
    "guest.python": ("errors", "guest"),
    # What guests compute by system calls, for CPython.
    "guest.python.hashes": ("errors", "poseidon2", "stark.crypto.hashes"),
    # What a relying party needs of a compiled model.
    "ml.tensor": ("errors", "ml.layout", "poseidon2"),
    "ml.interface": ("errors", "ml.samples", "ml.tensor", "stark.crypto.hashes", "stark.protocol.params", "verifier.receipt"),
    "ml": ("errors", "files", "guest"),
    # A compiled model runs and proves itself.
    "ml.package": (
        "errors", "files", "ml", "api", "many", "poseidon2", "riscv.vm.digest", "session", "stark.crypto.hashes", "verifier.receipt",
    ),
    "serve": (
        "errors", "files", "api", "ml.interface", "ml.package", "ml.samples", "session", "stark.crypto.hashes", "stark.protocol.params",
        "verifier.receipt",
    ),
    "cli": ("",),  # anything: nothing imports it
    "__main__": ("cli",),
}  # fmt: skip

# Unit -> third-party packages that it may import.
EXTERNAL: dict[str, frozenset[str]] = {
    **{unit: frozenset({"numpy"}) for unit in INTERNAL},
    "errors": frozenset(),
    "files": frozenset(),
    "stark.protocol.params": frozenset(),
    "stark.kernels.library": frozenset({"numpy", "llvmlite"}),
    "stark.kernels.width": frozenset({"llvmlite"}),
    "stark.kernels.source": frozenset({"numpy", "numba", "llvmlite"}),
    "riscv.kernels.source": frozenset({"numpy", "numba"}),
    "riscv.vm": frozenset({"numpy"}),
    "riscv.vm.dwarf": frozenset({"numpy", "elftools"}),
    "guest": frozenset(),
    "guest.toolchain": frozenset({"numpy", "elftools"}),
    "guest.python": frozenset({"numpy"}),
    # Whoever proves on one machine has no use for it.
    "session.cluster": frozenset({"numpy", "dask", "distributed"}),
    "ml": frozenset({"numpy", "onnx", "onnxruntime", "onnxslim"}),
    **dict.fromkeys(("ml.__init__", "ml.interface", "ml.package", "ml.samples", "ml.tensor"), frozenset({"numpy"})),
    "progress": frozenset({"rich", "IPython"}),
    "serve": frozenset({"numpy", "starlette", "uvicorn", "prometheus_client"}),
    "cli": frozenset({"numpy", "rich", "typer"}),
    "__main__": frozenset(),
}
