"""What a product of a depthwise convolution costs in cells, with the layers around it: the table in docs/tensors.md.

    python bench/ml/depthwise.py             # every line of the table
    python bench/ml/depthwise.py 3,1,56,16,96,16

A block is a 1 x 1 convolution, one of single channels, and another 1 x 1 convolution, all with ReLU6 but the last, of an image as large as
the middle one reads; before and behind it are layers. Nothing is proven: cells are the used rows of calls times the columns of their
chips. *1 x 1* is what the layers around cost more than they would for the positions of the image alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench.ml.against import compiled  # noqa: E402
from bench.ml.networks import CALIBRATION, separable  # noqa: E402
from bench.ml.tables import table  # noqa: E402
from zkvm.ml import CompiledModel  # noqa: E402
from zkvm.riscv.chips.tensor.lanes import TensorChip  # noqa: E402
from zkvm.riscv.chips.tensor.uses import new_elements  # noqa: E402
from zkvm.riscv.isa.tensors import LANES, LINEAR, WINDOWED  # noqa: E402
from zkvm.riscv.machine import machine  # noqa: E402
from zkvm.riscv.records import Execution, TensorCall  # noqa: E402
from zkvm.riscv.vm.elf import load_image  # noqa: E402
from zkvm.riscv.vm.executor import execute  # noqa: E402

LINES = (
    "3,1,112,16,96,16", "3,1,56,16,96,16", "3,1,28,16,96,16", "3,1,14,16,96,16", "3,1,56,32,64,64", "3,1,56,64,64,64", "3,1,28,64,64,64",
    "3,2,112,16,96,16", "3,2,56,16,96,16", "3,2,28,16,96,16", "3,2,56,64,64,64", "5,1,28,16,96,16", "5,2,56,16,96,16", "7,1,28,64,64,64",
)  # fmt: skip


class Block(NamedTuple):
    """Taps of a side, stride, lines of the image, channels before, between and after."""

    taps: int
    stride: int
    side: int
    before: int
    between: int
    after: int

    @property
    def made(self) -> int:
        """Lines of the result."""
        return -(-self.side // self.stride)

    @property
    def products(self) -> int:
        """Of the convolution, at every position of its result."""
        return (self.taps * self.made) ** 2 * self.between


def columns() -> dict[str, int]:
    """Committed columns of each chip, preprocessed ones apart."""
    return {code.chip.name: code.widths[1] + code.widths[2] for code in machine().codes if code.chip.first is None}


def cells_of(call: TensorCall, widths: dict[str, int]) -> Counter[str]:
    """Cells of a call by chip."""
    chips = [chip for chip in machine().chips if isinstance(chip, TensorChip) and chip.first is None]
    return Counter({chip.name: chip.rows_of(call) * widths[chip.name] for chip in chips})


def surplus(call: TensorCall, positions: int, taps: int, widths: dict[str, int]) -> int:
    """What a layer costs more than it would for so many positions and taps."""
    descriptor = call.descriptor._replace(blocks=-(-positions // LANES), taps=taps)
    count = descriptor.blocks * descriptor.channels
    plain = TensorCall(call.ecall, call.id, descriptor, vectors=call.vectors[:count], wide=call.wide)
    return sum(cells_of(call, widths).values()) - sum(cells_of(plain, widths).values())


def costs(block: Block, execution: Execution) -> list[float]:
    """Windows, results, gathers, 1 x 1 and all of them, in cells of a product."""
    widths, calls = columns(), execution.tensor_calls
    (middle,) = (place for place, call in enumerate(calls) if call.descriptor.operation in WINDOWED)
    linear = [place for place, call in enumerate(calls) if call.descriptor.operation == LINEAR and call.descriptor.channels > 1]
    first, last = max(place for place in linear if place < middle), min(place for place in linear if place > middle)
    before = max(place for place in linear if place < first)
    cells = cells_of(calls[middle], widths)
    gathers = 0
    for call, elements in new_elements(execution):
        if before < calls.index(call) < last:
            vectors = call.descriptor.blocks
            gathers += vectors * (widths["tensor_gather"] + widths["patterns"]) + elements * widths["tensor_elements"]
    around = surplus(calls[first], block.side**2, block.before, widths) + surplus(calls[last], block.made**2, block.between, widths)
    found = [cells["tensor_depthwise"], cells["tensor_results"], gathers, around]
    return [number / block.products for number in (*found, sum(found))]


def measured(block: Block, folder: Path) -> list[float]:
    """Compile a block, run it, and count."""
    path, data = folder / "block.onnx", folder / "block.npy"
    model = separable(*block)
    shape = [dimension.dim_value for dimension in model.graph.input[0].type.tensor_type.shape.dim]
    onnx.save(model, str(path))
    np.save(data, np.random.default_rng(7).random((CALIBRATION, *shape[1:]), np.float32))
    compiled(sys.executable, path, data, folder / "model")
    package = CompiledModel.load(folder / "model")
    words, _ = package.quantize([np.load(data)[0].reshape(shape)])
    return costs(block, execute(load_image(package.elf), package.stdin(words)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Every line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="*", default=LINES, help="TAPS,STRIDE,SIDE,BEFORE,BETWEEN,AFTER")
    rows = []
    for line in parser.parse_args(arguments).lines:
        block = Block(*map(int, line.split(",")))
        with tempfile.TemporaryDirectory() as name:
            found = measured(block, Path(name))
        shape = f"{block.taps} x {block.taps}", block.stride, f"{block.side} x {block.side}", ", ".join(map(str, block[3:]))
        rows.append([*shape, *(f"{number:.2f}" for number in found)])
    print(table(("taps", "stride", "image", "channels", "windows", "results", "gathers", "1 x 1", "all"), rows))


if __name__ == "__main__":
    main()
