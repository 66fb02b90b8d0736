"""The perceptron and the LeNet-5 of ``tools/train_mnist.py``: float model, integer model and guest on the images that did not train.

For each model and arithmetic: what the agreement gate says, accuracy of both models, images whose label differs, images on which the guest
was run and compared bit for bit, cycles; with ``--prove`` also one proof.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.train_mnist import TRAINING_IMAGES, load_mnist  # noqa: E402
from zkvm import api  # noqa: E402
from zkvm.ml import compiler  # noqa: E402
from zkvm.ml.ir import evaluate  # noqa: E402
from zkvm.ml.onnx_runtime import run_session, session  # noqa: E402

CALIBRATION_IMAGES = 200
CHOICES = (
    compiler.Options(),
    compiler.Options(precompiles=compiler.Precompiles.NONE),
    compiler.Options(arithmetic=compiler.Arithmetic.FIXED),
    compiler.Options(arithmetic=compiler.Arithmetic.FIXED, precision=compiler.Precision(8, 8)),
    compiler.Options(arithmetic=compiler.Arithmetic.FLOAT),
)


def compare(path: Path, data: Path, options: compiler.Options, guest_images: int, prove: bool) -> None:
    """Print one line for one model."""
    from zkvm.riscv.vm.executor import execute

    images, labels = load_mnist(data)
    imported = compiler.import_file(path, options)
    samples = [{"image": image[None]} for image in images[:CALIBRATION_IMAGES]]
    made = compiler.compile_imported(imported, samples, options)
    gate = compiler.add_measurements(made, samples, None)
    runner = session(imported.original, optimize=True)
    image = api.load_image(made.model.elf)
    held = range(TRAINING_IMAGES, len(images))
    right_float = right_integer = flips = same = 0
    cycles = 0
    for number, index in enumerate(held):
        real = run_session(runner, {"image": images[index][None]})["logits"]
        integers, _ = made.model.quantize([images[index][None]])
        words = evaluate(made.graph, integers)[0]
        result = made.graph.outputs[0].dequantize(words)
        flips += int(real.argmax() != result.argmax())
        right_float += int(real.argmax() == labels[index])
        right_integer += int(result.argmax() == labels[index])
        if number < guest_images:
            run = execute(image, made.model.stdin(integers), trace=False)
            same += run.journal == made.journal([words])
            cycles = max(cycles, run.cycles)
    count = len(held)
    bits = f", {options.precision.activation_bits} bits" if options.arithmetic is compiler.Arithmetic.FIXED else ""
    print(
        f"{path.stem}: {options.arithmetic}{bits}, precompiles {options.precompiles}: "
        f"{made.model.card['arithmetic']['float_operations']} operations in floats, {made.model.card['arithmetic']['fixed_operations']} "
        f"in fixed point, {made.graph.tensor_operations} of them tensor calls, {made.graph.macs} MACs; "
        f"gate: {'holds' if gate.holds else 'refuses'}, error {100 * gate.error:.2g} %, {gate.flips} labels; "
        f"float model {100 * right_float / count:.2f} %, integer model {100 * right_integer / count:.2f} %, "
        f"labels that differ {flips} of {count} ({100 * flips / count:.2f} %), "
        f"guest = integer model on {same} of {min(guest_images, count)} images, {cycles} cycles ({cycles / made.graph.macs:.2f} per MAC)",
        flush=True,
    )
    if prove:
        integers, _ = made.model.quantize([images[held[0]][None]])
        started = time.perf_counter()
        info = api.prove(made.model.elf, made.model.stdin(integers))
        seconds = time.perf_counter() - started
        label = int(np.argmax(next(iter(made.model.decode(info.session.journal).tensors.values()))))
        print(
            f"  proven in {seconds:.2f} s ({info.security_bits} bits, peak {info.peak_memory_bytes / 2**30:.2f} GiB), "
            f"receipt {len(info.receipt.to_bytes())} bytes, label {label} (true: {labels[held[0]]})"
        )


def main() -> None:
    """Compare both models in every arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, help="folder that tools/train_mnist.py wrote")
    parser.add_argument("data", type=Path, help="folder of the idx files")
    parser.add_argument("--guest-images", type=int, default=500)
    parser.add_argument("--prove", action="store_true")
    arguments = parser.parse_args()
    for name in ("perceptron", "lenet5"):
        for options in CHOICES:
            compare(arguments.models / f"{name}.onnx", arguments.data, options, arguments.guest_images, arguments.prove)


if __name__ == "__main__":
    main()
