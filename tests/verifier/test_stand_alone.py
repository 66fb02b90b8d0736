"""``python -m zkvm.verifier`` in an environment that has numpy and nothing else of what the package can use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_layers import run_without_extras

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
IMAGE_ID = json.loads((VECTORS / "hello.json").read_text())["image id"]


def verify(*arguments: str) -> tuple[int, str, str]:
    code = f"import runpy; sys.argv[1:] = {list(arguments)!r}; runpy.run_module('zkvm.verifier', run_name='__main__')"
    result = run_without_extras(code)
    return result.returncode, result.stdout, result.stderr


def test_accepts() -> None:
    code, out, err = verify(str(VECTORS / "hello.receipt"), "--image-id", IMAGE_ID, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert (answer["accepted"], answer["journal"], answer["zk"]) == (True, b"hello".hex(), False)
    assert answer["security_bits"] >= 100


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--image-id", "00" * 32), "IMAGE_ID"),
        (("--image-id", IMAGE_ID, "--min-security", "128"), "POLICY"),
        (("--image-id", IMAGE_ID, "--regime", "unique"), "POLICY"),
    ],
)
def test_rejects(arguments: tuple[str, ...], reason: str) -> None:
    code, out, _ = verify(str(VECTORS / "hello.receipt"), *arguments, "--json")
    assert (code, json.loads(out)["reason"]) == (1, reason)


def test_a_regime_is_demanded() -> None:
    code, out, _ = verify(str(VECTORS / "hello.receipt"), "--image-id", IMAGE_ID, "--regime", "bciks20", "--json")
    answer = json.loads(out)
    assert (code, answer["regime"], answer["security_bits"]) == (0, "bciks20", answer["bits_by_regime"]["bciks20"])
    assert answer["bits_by_regime"]["best"] > answer["security_bits"] > answer["bits_by_regime"]["unique"]
    code, out, _ = verify(str(VECTORS / "hello.receipt"), "--image-id", IMAGE_ID, "--regime", "unique", "--min-security", "66")
    assert (code, "66 proven bits (unique)" in out) == (0, True)
    code, _, err = verify(str(VECTORS / "hello.receipt"), "--image-id", IMAGE_ID, "--regime", "capacity")
    assert (code, "invalid choice: 'capacity'" in err) == (2, True)


def test_loads_nothing_else() -> None:
    """What is imported to verify: numpy, the standard library, and of the package neither prover nor executor nor kernels."""
    code = f"""
import runpy
sys.argv[1:] = [{str(VECTORS / "hello.receipt")!r}, "--image-id", {IMAGE_ID!r}]
try:
    runpy.run_module('zkvm.verifier', run_name='__main__')
except SystemExit:
    pass
ours = sorted(name for name in sys.modules if name.startswith("zkvm."))
print([name for name in ours if name.split(".")[1] in ("prover", "vm", "kernels", "guest", "ml", "cli", "api", "tables")])
print(sorted({{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names) - {{"zkvm", "__main__"}}))
"""
    result = run_without_extras(code)
    *_, ours, others = result.stdout.splitlines()
    assert ours == "[]"
    assert [name for name in json.loads(others.replace("'", '"')) if not name.startswith(("_", "numpy", "sitecustomize"))] == []
