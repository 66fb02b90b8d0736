"""Build the wheel, install it bare, and verify a committed receipt with it: what somebody gets who only verifies.

    python tools/check_wheel.py    exit code 1 if anything is not as the pages say

The wheel is built from a copy of the sources, so that the checkout stays clean and nothing of an earlier build gets in. It is installed
without extras in an environment of its own outside the checkout; there the stand-alone verifier and `zkvm verify` must accept
`tests/vectors/hello.receipt` and refuse what is not that receipt, by image ID and by program, each with the exit code in
`docs/command-line.md`; and `zkvm image-id` must compute the recorded image ID of a committed program. pip fetches the build backend and
the base dependencies.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "zkvm")
GUESTS = ROOT / "guest_programs"
ACCEPTED, REJECTED, BAD_INPUT = 0, 1, 3
PATIENCE_S = 120
"""A command that takes longer hangs."""
PROBE = """
import importlib.metadata, json, zkvm
installed = [distribution.metadata["Name"] for distribution in importlib.metadata.distributions()]
recorded = importlib.metadata.version("zkvm")
print(json.dumps({"home": zkvm.__file__, "version": zkvm.__version__, "recorded": recorded, "installed": installed}))
"""
"""What the new environment says of itself."""


@dataclass(frozen=True)
class Case:
    """A receipt and what names its program, and how both commands must end.

    Attributes:
        name: of the case.
        receipt: its path.
        options: image ID, program, or both.
        exit_code: of the command.
        claim: image ID and journal that must be accepted, if any.
    """

    name: str
    receipt: Path
    options: tuple[str, ...]
    exit_code: int
    claim: tuple[str, str] | None = None


def copy_sources(folder: Path) -> Path:
    """Copy what the wheel is built from, and nothing else, into the folder."""
    folder.mkdir()
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def build(sources: Path, folder: Path) -> Path:
    """Build the wheel; its path."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(sources)]
    subprocess.run(pip, check=True)
    [wheel] = folder.glob("zkvm-*.whl")
    return wheel


def wrong_contents(sources: Path, wheel: Path) -> Iterator[str]:
    """Complaints about the wheel's files: a file of the package that is missing, and any other file but the wheel's own record."""
    with zipfile.ZipFile(wheel) as archive:
        there = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    wanted = {path.relative_to(sources).as_posix() for path in (sources / "zkvm").rglob("*") if path.is_file()}
    yield from (f"the wheel lacks {name}" for name in sorted(wanted - there))
    yield from (f"the wheel has {name}, which is not of the package" for name in sorted(there - wanted))


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel without extras in a new environment; the folder of its commands."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    commands = folder / "bin"
    subprocess.run([str(commands / "python"), "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    return commands


def run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command where nothing of the checkout can be imported by chance."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def wrong_environment(python: Path, folder: Path) -> Iterator[str]:
    """Complaints about what is installed: another copy of the package, a version that the wheel does not record, a package of an extra."""
    result = run([str(python), "-c", PROBE], folder)
    if result.returncode != 0:
        yield f"the package cannot be imported: {result.stderr}"
        return
    found = json.loads(result.stdout)
    if not Path(found["home"]).resolve().is_relative_to(python.parent.parent.resolve()):
        yield f"{found['home']} was imported instead of the installed package"
    if found["version"] != found["recorded"]:
        yield f"zkvm.__version__ is {found['version']}, the wheel says {found['recorded']}"
    for name in sorted({plain(name) for name in found["installed"]} & packages_of_extras()):
        yield f"{name} belongs to an extra and was installed without it"


def plain(requirement: str) -> str:
    """The name of a package or requirement in its normal form."""
    match = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def packages_of_extras() -> set[str]:
    """Names of the packages that the extras bring."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return {plain(requirement) for requirements in extras.values() for requirement in requirements} - {"zkvm"}


def cases(receipt: Path, image_id: str, journal: str, folder: Path) -> list[Case]:
    """The receipt as it is, and what must be refused; the changed copies are written to the folder."""
    data = receipt.read_bytes()
    changed, shortened = folder / "changed.receipt", folder / "shortened.receipt"
    middle = len(data) // 2
    changed.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    shortened.write_bytes(data[:-1])
    named, claim = ("--image-id", image_id), (image_id, journal)
    return [
        Case("the committed receipt", receipt, named, ACCEPTED, claim),
        Case("a copy with one bit changed", changed, named, REJECTED),
        Case("a copy without its last byte", shortened, named, REJECTED),
        Case("the receipt for another program", receipt, ("--image-id", "00" * 32), REJECTED),
        Case("a receipt that is not there", folder / "missing.receipt", named, BAD_INPUT),
    ]


def program_cases(receipt: Path, image_id: str, journal: str, program: Path, other: Path) -> list[Case]:
    """The receipt with its program, with another one, and with a file that is none."""
    both = ("--elf", str(program), "--image-id", image_id)
    return [
        Case("the committed receipt and its program", receipt, both, ACCEPTED, (image_id, journal)),
        Case("the committed receipt and another program", receipt, ("--elf", str(other)), REJECTED),
        Case("a program that does not have the image ID", receipt, ("--elf", str(other), "--image-id", image_id), REJECTED),
        Case("a file that is no program", receipt, ("--elf", str(receipt)), BAD_INPUT),
    ]


def wrong_image_id(command: Sequence[str], program: Path, image_id: str, folder: Path) -> Iterator[str]:
    """Complaints about the image ID that a command computes from a program."""
    result = run([*command, str(program)], folder)
    right = (result.returncode, result.stdout) == (ACCEPTED, f"{image_id}\n")
    print(f"image ID of {program.name}: {'as recorded' if right else 'WRONG'}", flush=True)
    if not right:
        yield f"{program}: exit code {result.returncode}, image ID {result.stdout!r} instead of {image_id}\n{result.stderr}"


def wrong_verdict(command: Sequence[str], case: Case, folder: Path) -> str | None:
    """What is wrong with the command's answer; None if nothing is."""
    result = run([*command, str(case.receipt), *case.options, "--json"], folder)
    if result.returncode != case.exit_code:
        return f"exit code {result.returncode} instead of {case.exit_code}\n{result.stdout}{result.stderr}"
    try:
        answer = json.loads(result.stdout)
    except json.JSONDecodeError:
        return f"no JSON object: {result.stdout!r}"
    if case.exit_code == ACCEPTED and (answer.get("image_id"), answer.get("journal")) != case.claim:
        return f"another claim is accepted: {answer}"
    if case.exit_code != BAD_INPUT and answer.get("accepted") is not (case.exit_code == ACCEPTED):
        return f"the exit code and the answer differ: {answer}"
    return None


def wrong_verdicts(commands: Sequence[Sequence[str]], chosen: Sequence[Case], folder: Path) -> Iterator[str]:
    """Complaints about the verdicts of all commands on all cases."""
    for command in commands:
        name = " ".join([Path(command[0]).name, *command[1:]])
        for case in chosen:
            wrong = wrong_verdict(command, case, folder)
            print(f"{name}: {case.name}: {'as documented' if wrong is None else 'WRONG'}", flush=True)
            if wrong is not None:
                yield f"{name}: {case.name}: {wrong}"


def main() -> int:
    """The command."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # an exit removes the folder, a signal alone would not
    vector = json.loads((VECTORS / "hello.json").read_text())
    with tempfile.TemporaryDirectory(prefix="zkvm-wheel-") as name:
        folder = Path(name)
        sources = copy_sources(folder / "sources")
        wheel = build(sources, folder)
        complaints = list(wrong_contents(sources, wheel))
        commands = install(wheel, folder / "bare")
        python = commands / "python"
        complaints += wrong_environment(python, folder)
        receipt, image_id, journal = VECTORS / vector["receipt"], vector["image id"], vector["journal"]
        program, other = GUESTS / "hello" / "hello.elf", GUESTS / "mixed" / "mixed.elf"
        chosen = cases(receipt, image_id, journal, folder) + program_cases(receipt, image_id, journal, program, other)
        complaints += wrong_verdicts([[str(python), "-m", "zkvm.verifier"], [str(commands / "zkvm"), "verify"]], chosen, folder)
        recorded = json.loads((GUESTS / "image_ids.json").read_text())
        complaints += wrong_image_id([str(commands / "zkvm"), "image-id"], other, recorded[other.stem], folder)
        size = wheel.stat().st_size
    print("\n".join(complaints) if complaints else f"{wheel.name}, {size} bytes: complete, and verifies as documented", flush=True)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
