"""Random programs of tensor calls: the machine and CPython agree in every element and every count."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import zkvm
from tests.guest.compiled import needs_compiler
from zkvm import guest
from zkvm.guest.python.build import build, load

LENGTHS = (1, 2, 3, 5, 8, 9, 16, 17)
HEAD = "import numpy as np\nfrom zkvm import guest\nfrom zkvm.guest import tensors\n"
Shape = tuple[int, ...]


class Writer:
    """A program while it is written: layers, statements, shapes of its tensors."""

    def __init__(self, seed: int) -> None:
        self.random, self.numbers = random.Random(seed), np.random.default_rng(seed)
        self.layers: list[str] = []
        self.body: list[str] = []
        self.shapes: list[Shape] = []
        self.bytes = 0

    def shape(self) -> Shape:
        return tuple(self.random.choice(LENGTHS) for _ in range(self.random.choice((1, 2, 2))))

    def add(self, expression: str, shape: Shape) -> None:
        self.body += [f"    t{len(self.shapes)} = {expression}", f"    guest.commit((t{len(self.shapes)}.numbers(), tensors.cuts()))"]
        self.shapes.append(shape)

    def read(self) -> None:
        shape = self.shape()
        self.bytes += 16 * shape[0] * -(-(shape[1] if len(shape) > 1 else 1) // 8)
        self.add(f"tensors.read({shape})", shape)

    def call(self, layer: str, operands: list[int], shape: Shape) -> None:
        self.layers.append(f"L{len(self.layers)} = tensors.{layer}")
        self.add(f"L{len(self.layers) - 1}({', '.join(f't{number}' for number in operands)})", shape)

    def linear(self, at: int, shape: Shape) -> None:
        channels, top = self.random.choice(LENGTHS), self.random.choice((3, 127, 32767))
        weights = self.numbers.integers(-top - 1, top + 1, (channels, shape[0])).tolist()
        most = min(0.4999, 1 / shape[0])
        scales = [most * self.random.uniform(-1, 1) for _ in range(channels)]
        bias = self.numbers.integers(-(2**16), 2**16, channels).tolist()
        low, high = sorted(self.random.sample(range(-32768, 32768), 2))
        self.call(f"Linear({weights}, np.array({scales}), {bias}, {low}, {high})", [at], (channels, *shape[1:]))

    def two(self, at: int, shape: Shape) -> None:
        other = self.random.choice([number for number, found in enumerate(self.shapes) if found == shape])
        scale, factors = self.random.random() * 0.4999, self.numbers.integers(-32768, 32768, 2).tolist()
        layer = self.random.choice(
            (f"Sum({scale}, {factors[0]}, {factors[1]}, 7, -20000, 30000)", f"Product({scale / 1000}, {factors[0]})")
        )
        self.call(layer, [at, other], shape)

    def matmul(self, at: int, shape: Shape) -> None:
        fitting = [number for number, found in enumerate(self.shapes) if len(found) == 2 and found[0] == shape[0] and found[1] % 8 == 0]
        if fitting:
            other = self.random.choice(fitting)
            self.call(f"Matmul({min(0.4999, 1 / shape[0]) * self.random.random()}, 9)", [at, other], (self.shapes[other][1], *shape[1:]))

    def gather(self, at: int, shape: Shape) -> None:
        made = self.shape()
        self.call(f"Gather({self.numbers.integers(-1, int(np.prod(shape)), made).tolist()})", [at], made)

    def maximum(self, at: int, shape: Shape) -> None:
        group = self.random.choice([count for count in range(1, shape[0] + 1) if shape[0] % count == 0])
        self.call(f"Maximum({group})", [at], (shape[0] // group, *shape[1:]))

    def text(self, calls: int) -> str:
        self.read()
        self.read()
        kinds: tuple[Callable[[int, Shape], None], ...] = (self.linear, self.two, self.gather, self.maximum, self.matmul)
        for _ in range(calls):
            at = self.random.randrange(len(self.shapes))
            self.random.choice(kinds)(at, self.shapes[at])
        return "\n".join([HEAD, *self.layers, "def main():", *self.body, ""])


@needs_compiler
@pytest.mark.parametrize("seed", [6, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 4, 5, 7, 8, 9, 10))])
def test_random_programs_of_tensors(seed: int, tmp_path: Path) -> None:
    writer = Writer(seed)
    (tmp_path / "main.py").write_text(writer.text(10))
    main = load(tmp_path / "main.py").main
    elf = build(tmp_path / "main.py", tmp_path / "main.elf")
    for choose in (lambda n: writer.numbers.integers(-32768, 32768, n), lambda n: writer.numbers.choice([-32768, 32767, 0, 1, -1], n)):
        stdin = choose(writer.bytes // 2).astype(np.int16).tobytes()
        expected, session = guest.run(main, stdin), zkvm.execute(elf, stdin)
        assert (session.journal, session.exit_code, expected.error) == (expected.journal, 0, "")
    assert zkvm.check(elf, stdin) == []
