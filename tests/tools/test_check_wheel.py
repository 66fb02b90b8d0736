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


PROGRAM_CASES = [
    "the committed receipt and its program",
    "the committed receipt and another program",
    "a program that does not have the image ID",
    "a file that is no program",
]


@pytest.mark.parametrize(
    ("answer", "code", "wrong"),
    [
        (json.dumps(ANSWER), 0, PROGRAM_CASES[1:]),
        (json.dumps(ANSWER | {"image_id": "00" * 32}), 0, PROGRAM_CASES),
        (json.dumps({"accepted": False}), 1, [PROGRAM_CASES[0], PROGRAM_CASES[3]]),
        (json.dumps({"error": ""}), 3, PROGRAM_CASES[:3]),
    ],
    ids=["accepts everything", "another program", "refuses everything", "reads nothing"],
)
def test_a_verifier_that_is_wrong_about_programs(answer: str, code: int, wrong: list[str]) -> None:
    command = [sys.executable, "-c", f"print({answer!r}); raise SystemExit({code})"]
    hello, mixed = (ROOT / "guest_programs" / name / f"{name}.elf" for name in ("hello", "mixed"))
    chosen = tool.program_cases(VECTORS / "hello.receipt", VECTOR["image id"], VECTOR["journal"], hello, mixed)
    assert [case.name for case in chosen if tool.wrong_verdict(command, case, ROOT) is not None] == wrong


@pytest.mark.parametrize(("printed", "code", "right"), [("ab", 0, True), ("ac", 0, False), ("", 0, False), ("ab", 2, False)])
def test_an_image_id_that_is_wrong(printed: str, code: int, right: bool, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", f"print({printed!r}); raise SystemExit({code})"]
    assert (list(tool.wrong_image_id(command, Path("guest.elf"), "ab", ROOT)) == []) == right
    assert ("as recorded" in capsys.readouterr().out) == right


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
    assert {"numba", "capstone", "ziglang", "onnx", "pytest"} <= tool.packages_of_extras()
    assert not {"zkvm", "numpy", "pyelftools", "rich", "typer"} & tool.packages_of_extras()
