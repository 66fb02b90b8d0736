"""``python -m zkvm.verifier`` in an environment that has numpy and nothing else of what the package can use."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.test_layers import run_without_extras
from zkvm.stark.prover.preprocessed import compiled_roots
from zkvm.verifier.__main__ import main
from zkvm.verifier.image import image_id

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
IMAGE_ID = json.loads((VECTORS / "hello.json").read_text())["image id"]
GUESTS = VECTORS.parents[1] / "guest_programs"
HELLO, ECHO = (GUESTS / name / f"{name}.elf" for name in ("hello", "echo"))
RECEIPT = str(VECTORS / "hello.receipt")


def verify(*arguments: str | Path, base: bool = False) -> tuple[int, str, str]:
    code = f"import runpy; sys.argv[1:] = {list(map(str, arguments))!r}; runpy.run_module('zkvm.verifier', run_name='__main__')"
    result = run_without_extras(code, base)
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


def test_by_the_program() -> None:
    """The ID is computed from the file."""
    code, out, err = verify(RECEIPT, "--elf", HELLO)
    assert (code, err) == (0, "")
    assert out.startswith(f"accepted: image {IMAGE_ID}")
    code, out, _ = verify(RECEIPT, "--elf", ECHO, "--json")
    assert (code, json.loads(out)["reason"]) == (1, "IMAGE_ID")


def use_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """For image IDs, where it matters what is done with them."""
    monkeypatch.setattr("zkvm.verifier.image.image_id", partial(image_id, roots=compiled_roots))


def test_by_program_and_image_id(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Both must agree; if not, nothing is accepted, whichever of them is the receipt's."""
    use_kernels(monkeypatch)
    assert main([RECEIPT, "--elf", str(HELLO), "--image-id", IMAGE_ID]) == 0
    capsys.readouterr()
    for elf, named in ((ECHO, IMAGE_ID), (HELLO, "00" * 32), (ECHO, "00" * 32)):
        assert main([RECEIPT, "--elf", str(elf), "--image-id", named, "--json"]) == 1
        answer = json.loads(capsys.readouterr().out)
        assert (answer["accepted"], answer["reason"]) == (False, "IMAGE_ID")
        assert named in answer["detail"]


def test_a_program_that_cannot_be_used(tmp_path: Path) -> None:
    for elf, message in ((VECTORS / "hello.receipt", "not an ELF file"), ("absent", "No such file"), (tmp_path, "Is a directory")):
        code, out, err = verify(RECEIPT, "--elf", elf)
        assert (code, out) == (3, "")
        assert message in err
        assert "Traceback" not in err


def test_a_compiled_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_kernels(monkeypatch)
    (tmp_path / "model.elf").write_bytes(HELLO.read_bytes())
    assert main([RECEIPT, "--elf", str(tmp_path)]) == 0
    (tmp_path / "model.elf").write_bytes(ECHO.read_bytes())
    assert main([RECEIPT, "--elf", str(tmp_path)]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--image-id HEX, --elf GUEST.elf, or both"),
        (("--image-id", "12", "--elf", "absent"), "64 hexadecimal"),
    ],
)
def test_usage(arguments: tuple[str, ...], message: str) -> None:
    code, out, err = verify(RECEIPT, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("zkvm.verifier.image.preprocess", stop)
    assert main([RECEIPT, "--elf", str(HELLO)]) == 130
    assert capsys.readouterr().err == "zkvm.verifier: interrupted\n"


def test_progress_goes_to_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    use_kernels(monkeypatch)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main([RECEIPT, "--elf", str(HELLO)]) == 0
    shown = capsys.readouterr().err
    assert "image ID: commit   0 %" in shown
    assert shown.endswith("\r\x1b[K")
    assert main([RECEIPT, "--elf", str(HELLO), "--json"]) == 0
    assert capsys.readouterr().err == ""


def test_a_regime_is_demanded() -> None:
    code, out, _ = verify(RECEIPT, "--image-id", IMAGE_ID, "--regime", "bciks20", "--json")
    answer = json.loads(out)
    assert (code, answer["regime"], answer["security_bits"]) == (0, "bciks20", answer["bits_by_regime"]["bciks20"])
    assert answer["bits_by_regime"]["best"] > answer["security_bits"] > answer["bits_by_regime"]["unique"]
    code, out, _ = verify(RECEIPT, "--image-id", IMAGE_ID, "--regime", "unique", "--min-security", "66")
    assert (code, "66 proven bits (unique)" in out) == (0, True)
    code, _, err = verify(RECEIPT, "--image-id", IMAGE_ID, "--regime", "capacity")
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
print([name for name in ours if {{"prover", "vm", "kernels", "guest", "ml", "cli", "api", "tables", "session"}} & set(name.split("."))])
print(sorted({{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names) - {{"zkvm", "__main__"}}))
"""
    result = run_without_extras(code)
    *_, ours, others = result.stdout.splitlines()
    assert ours == "[]"
    assert [name for name in json.loads(others.replace("'", '"')) if not name.startswith(("_", "numpy", "sitecustomize"))] == []
