"""What the user chose for a compilation; what it made, from the simplified model to the guest, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.calibrate import Method
from zkvm.ml.codegen import GeneratedCode, Privacy
from zkvm.ml.domain import Declared
from zkvm.ml.gate import Agreement, Limits
from zkvm.ml.importer import ImportedModel
from zkvm.ml.ir import Graph
from zkvm.ml.package import CompiledModel
from zkvm.ml.ranges import Precision


class Arithmetic(StrEnum):
    """What real numbers become."""

    AUTO = "auto"
    """Floats if the model is cheap; else fixed point where the answers stay the same, and floats where they would not."""
    FIXED = "fixed"
    """Integers times a scale that follows from a range: three to four instructions a product; wrong beyond the range."""
    FLOAT = "float"
    """IEEE 754 binary32, as the model has them: eight to nine instructions a product, and no ranges."""


class Precompiles(StrEnum):
    """Which of the machine's calls a guest makes beyond instructions."""

    AUTO = "auto"
    """Layers in fixed point, and what is between them, are tensor calls where that is cheaper, unless the weights are private."""
    NONE = "none"
    """None: every product is an instruction."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chooses.

    Attributes:
        shapes: of inputs whose dimensions are open.
        method: of calibration.
        domain: which inputs the model is for, as far as the user says so.
        precision, privacy, arithmetic, precompiles: see there.
        limits: of the agreement with the float model.
    """

    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    method: Method = Method.MINMAX
    domain: Declared = field(default_factory=dict)
    precision: Precision = Precision()
    privacy: Privacy = Privacy()
    arithmetic: Arithmetic = Arithmetic.AUTO
    limits: Limits = Limits()
    precompiles: Precompiles = Precompiles.AUTO


@dataclass
class Compilation:
    """Everything that a compilation made.

    Attributes:
        imported: the simplified model.
        graph: the integer model.
        code: its C source.
        model: what is saved.
        options: what was chosen.
        agreement: with the float model, if it was measured already.
    """

    imported: ImportedModel
    graph: Graph
    code: GeneratedCode
    model: CompiledModel
    options: Options = field(default_factory=Options)
    agreement: Agreement | None = None

    def save(self, directory: Path) -> None:
        """Write everything that ``zkvm run`` needs."""
        self.model.save(directory)

    def journal(self, results: Sequence[NDArray[np.int64]], saturated: bool = False) -> bytes:
        """What a run commits that shows all outputs and no digest of its input.

        Args:
            results: of :func:`zkvm.ml.ir.evaluate`.
            saturated: whether a value was cut; for models that say so.
        """
        digests = [self.model.digest, bytes.fromhex(self.model.weights_digest)]
        scales = [np.float64(value.scale).tobytes() for value in self.graph.outputs if value.secret]
        flag = [int(saturated).to_bytes(4, "little")] if self.model.saturation == "flag" else []
        return b"".join([*digests, *flag, *scales, *(result.astype("<i4").tobytes() for result in results)])
