"""The check of the wheel notices what it is for. `make wheel` itself builds and installs one."""

from __future__ import annotations

import importlib.util
import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
VECTOR = json.loads((VECTORS / "hello.json").read_text())
VERIFIER = [sys.executable, "-m", "zkvm.verifier"]


def load_tool() -> ModuleType:
    specification = importlib.util.spec_from_file_location("check_wheel", ROOT / "tools" / "check_wheel.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["check_wheel"] = module
    specification.loader.exec_module(module)
    return module


tool = load_tool()


def verdicts(command: list[str], receipt: Path, folder: Path) -> list[str]:
    """Names of the cases in which the command, run in the checkout, does not answer as documented."""
    chosen = tool.cases(receipt, VECTOR["image id"], VECTOR["journal"], folder)
    return [case.name for case in chosen if tool.wrong_verdict(command, case, ROOT) is not None]


def test_a_verifier_that_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = tool.cases(VECTORS / "hello.receipt", VECTOR["image id"], VECTOR["journal"], tmp_path)
    assert list(tool.wrong_verdicts([VERIFIER], chosen, ROOT)) == []
    assert capsys.readouterr().out.count("as documented") == len(chosen) == 5


def test_a_committed_receipt_that_is_damaged(tmp_path: Path) -> None:
    data = bytearray((VECTORS / "hello.receipt").read_bytes())
    data[-100] ^= 1
    (tmp_path / "damaged.receipt").write_bytes(data)
    assert verdicts(VERIFIER, tmp_path / "damaged.receipt", tmp_path) == ["the committed receipt"]


ANSWER = {"accepted": True, "image_id": VECTOR["image id"], "journal": VECTOR["journal"]}
REFUSED = ["a copy with one bit changed", "a copy without its last byte", "the receipt for another program", "a receipt that is not there"]


@pytest.mark.parametrize(
    ("answer", "code", "wrong"),
    [
        (json.dumps(ANSWER), 0, REFUSED),
        (json.dumps(ANSWER | {"journal": ""}), 0, ["the committed receipt", *REFUSED]),
        (json.dumps(ANSWER), 1, ["the committed receipt", *REFUSED]),
        (json.dumps(ANSWER | {"accepted": False}), 1, ["the committed receipt", REFUSED[-1]]),
        ("accepted", 0, ["the committed receipt", *REFUSED]),
    ],
    ids=["accepts everything", "another journal", "code and answer differ", "refuses everything", "no JSON"],
)
def test_a_verifier_that_is_wrong(answer: str, code: int, wrong: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", f"print({answer!r}); raise SystemExit({code})"]
    assert verdicts(command, VECTORS / "hello.receipt", tmp_path) == wrong


def test_files_that_are_missing_or_do_not_belong(tmp_path: Path) -> None:
    sources, wheel = tmp_path / "sources", tmp_path / "zkvm.whl"
    (sources / "zkvm" / "include").mkdir(parents=True)
    (sources / "zkvm" / "a.py").touch()
    (sources / "zkvm" / "include" / "b.h").touch()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("zkvm/a.py", "tests/c.py", "zkvm-1.dist-info/METADATA"):
            archive.writestr(name, "")
    assert list(tool.wrong_contents(sources, wheel)) == [
        "the wheel lacks zkvm/include/b.h",
        "the wheel has tests/c.py, which is not of the package",
    ]


def test_what_is_copied(tmp_path: Path) -> None:
    sources = tool.copy_sources(tmp_path / "sources")
    assert {path.name for path in sources.iterdir()} == {"pyproject.toml", "README.md", "LICENSE", "zkvm"}
    assert (sources / "zkvm" / "__init__.py").is_file()
    assert list(sources.rglob("__pycache__")) == []


def test_an_environment_that_is_not_the_wheels(tmp_path: Path) -> None:
    """This one has the checkout's package, and packages of extras."""
    complaints = list(tool.wrong_environment(Path(sys.executable), ROOT))
    assert any("instead of the installed package" in text for text in complaints)
    assert "pytest belongs to an extra and was installed without it" in complaints


def test_names_of_packages() -> None:
    assert tool.plain("Scikit_Learn>=1.5,<2") == "scikit-learn"
    assert {"numba", "ziglang", "onnx", "pytest"} <= tool.packages_of_extras()
    assert not {"zkvm", "numpy", "rich", "typer"} & tool.packages_of_extras()
