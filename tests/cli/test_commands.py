"""Every command on good input: output, JSON, exit codes, and what a command loads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.cli.running import guest, invoke
from tests.receipts import ECHO, GUESTS, HELLO, TEXT, dev_receipt, echo_receipt
from tests.test_layers import run_without_extras
from zkvm.api import compute_image_id
from zkvm.cli.main import COMMANDS, load
from zkvm.riscv.vm.assemble import EXIT
from zkvm.verifier.receipt import Receipt

ROOT = GUESTS.parent
RUN_KEYS = {
    "image_id",
    "exit_code",
    "journal",
    "cycles",
    "seconds",
    "peak_memory_bytes",
    "receipt_bytes",
    "security_bits",
    "bits_by_regime",
    "zk",
}


@cache
def echo_id() -> str:
    return compute_image_id(ECHO)


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    path = tmp_path / "echo.receipt"
    echo_receipt().save(path)
    return path


def program(*arguments: str | Path, module: str = "zkvm") -> subprocess.CompletedProcess[bytes]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=300)


def test_run_verify_inspect(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(TEXT)
    outcome = invoke("run", ECHO, "--input", tmp_path / "input", "--out", tmp_path / "r", "--params", "fast", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    view = outcome.json
    assert set(view) >= RUN_KEYS
    assert (view["image_id"], view["exit_code"], view["journal"], view["zk"]) == (echo_id(), 0, TEXT.hex(), True)
    assert view["bits_by_regime"] == {"best": view["security_bits"], "bciks20": 122, "unique": 115}
    assert view["security_bits"] == 128
    assert view["receipt_bytes"] == (tmp_path / "r").stat().st_size
    assert set(view["seconds"]) >= {"execute", "trace", "main", "bus", "quotient", "openings", "fri", "queries", "verify", "total"}
    assert sorted(os.listdir(tmp_path)) == ["input", "r"]
    verified = invoke("verify", tmp_path / "r", "--elf", ECHO, "--json")
    assert verified.code == 0
    assert (verified.json["accepted"], verified.json["journal"]) == (True, TEXT.hex())


def test_run_without_zero_knowledge_and_default_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = invoke("run", HELLO, "--no-zk", "--threads", "1")
    assert outcome.code == 0
    lines = dict(line.split(maxsplit=1) for line in outcome.out.splitlines()[1:] if line)
    assert outcome.out.startswith("hello from the guest\n")  # the guest's own output comes first
    assert lines["journal"] == "68656c6c6f  'hello'"
    assert "zero knowledge  no\n" in outcome.out
    assert os.listdir(tmp_path) == ["hello.receipt"]
    assert not Receipt.load("hello.receipt").zk


def test_the_guests_output_does_not_mix_with_json(tmp_path: Path) -> None:
    outcome = invoke("run", HELLO, "--dev", "--json", "--out", tmp_path / "r")
    assert outcome.json["journal"] == b"hello".hex()
    assert outcome.err == "hello from the guest\n"
    assert outcome.json["dev"] is True
    assert outcome.json["security_bits"] == 0


def test_a_guest_that_fails_is_proven_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "guest.elf").write_bytes(guest([("li", "a0", 7), *EXIT]))
    outcome = invoke("run", tmp_path / "guest.elf", "--json", "--params", "fast", "--out", tmp_path / "r")
    assert (outcome.code, outcome.json["exit_code"]) == (1, 7)
    identity = outcome.json["image_id"]
    refused = invoke("verify", tmp_path / "r", "--image-id", identity, "--json")
    assert (refused.code, refused.json["reason"]) == (1, "POLICY")
    assert invoke("verify", tmp_path / "r", "--image-id", identity, "--exit-code", "7").code == 0


def test_execute_only_tells_where_cycles_and_cells_went() -> None:
    outcome = invoke("run", HELLO, "--execute-only", "--json")
    view = outcome.json
    assert outcome.code == 0
    assert view["journal"] == b"hello".hex()
    assert sum(view["functions"].values()) == view["cycles"] == 28
    assert "main" in view["functions"]
    assert view["function_cells"].keys() == view["functions"].keys()
    assert view["charged_cells"] == view["function_cells"]["_start"] > view["function_cells"]["main"] > 0
    out = invoke("run", HELLO, "--execute-only").out
    assert re.search(rf" {view['function_cells']['main']} +{view['functions']['main']}  main$", out, re.MULTILINE)
    assert f"cells           {view['cells']} committed" in out


def test_inspect_tells_which_tensor_calls_a_program_can_make(tmp_path: Path) -> None:
    """And which segments hold their constants."""
    program = GUESTS / "attention" / "attention.elf"
    view = invoke("inspect", program, "--json").json
    assert [segment["tensor_constants"] for segment in view["segments"]] == [
        *(None, None), ".tensor.vectors", ".tensor.channels", ".tensor.functions", None
    ]  # fmt: skip
    assert {name: calls["descriptors"] for name, calls in view["tensor_calls"].items()} == {
        "import": 1, "load": 1, "linear": 3, "export": 2, "maximum": 1, "apply": 1, "combine": 2, "multiply": 1
    }  # fmt: skip
    out = invoke("inspect", program).out
    assert "bytes in the file  .tensor.channels\n" in out
    assert f"tensor call     linear: 3 descriptors, {view['tensor_calls']['linear']['products']} products\n" in out
    assert "tensor call     load: 1 descriptor\n" in out
    content = bytearray(program.read_bytes())
    content[32:36] = bytes(4)  # where the sections are, symbols among them
    content[48:50] = bytes(2)  # how many
    (tmp_path / "without").write_bytes(content)
    assert invoke("inspect", tmp_path / "without", "--json").json["tensor_calls"] is None
    assert "tensor call     not known: the file has no symbols\n" in invoke("inspect", tmp_path / "without").out


def test_verify_by_image_id(receipt: Path) -> None:
    outcome = invoke("verify", receipt, "--image-id", echo_id())
    assert outcome.code == 0
    assert outcome.out.startswith("accepted\n")
    assert repr(TEXT.decode()) in outcome.out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--image-id", "00" * 32), "IMAGE_ID"),
        (("--elf", str(HELLO)), "IMAGE_ID"),
        (("--image-id", "own", "--min-security", "128"), "POLICY"),
        (("--image-id", "own", "--exit-code", "1"), "POLICY"),
    ],
)
def test_verify_rejects(arguments: tuple[str, ...], reason: str, receipt: Path) -> None:
    chosen = [echo_id() if argument == "own" else argument for argument in arguments]
    outcome = invoke("verify", receipt, *chosen)
    assert (outcome.code, outcome.out) == (1, "")
    assert f"rejected: {reason}: " in outcome.err
    answer = invoke("verify", receipt, *chosen, "--json")
    assert (answer.code, answer.json["accepted"], answer.json["reason"]) == (1, False, reason)


def test_verify_rejects_what_is_no_receipt(tmp_path: Path, receipt: Path) -> None:
    for content in (b"", b"noise" * 100, receipt.read_bytes()[:-1], receipt.read_bytes() + b"\0", HELLO.read_bytes()):
        (tmp_path / "bad").write_bytes(content)
        outcome = invoke("verify", tmp_path / "bad", "--image-id", echo_id(), "--json")
        assert (outcome.code, outcome.json["reason"]) == (1, "FORMAT")


def test_dev_receipts_need_permission(tmp_path: Path) -> None:
    dev_receipt().save(tmp_path / "r")
    assert invoke("verify", tmp_path / "r", "--image-id", echo_id(), "--json").json["reason"] == "POLICY"
    allowed = invoke("verify", tmp_path / "r", "--image-id", echo_id(), "--allow-dev")
    assert allowed.code == 0
    assert "DEV RECEIPT: nothing is proven" in allowed.out


def test_the_stand_alone_verifier_agrees(receipt: Path) -> None:
    accepted = program(receipt, "--image-id", echo_id(), "--json", module="zkvm.verifier")
    assert (accepted.returncode, accepted.stderr) == (0, b"")
    assert json.loads(accepted.stdout)["journal"] == TEXT.hex()
    for arguments, code in (
        ((receipt, "--image-id", "00" * 32), 1),
        ((receipt, "--image-id", echo_id(), "--min-security", "128"), 1),
        ((receipt, "--image-id", echo_id(), "--exit-code", "3"), 1),
        ((receipt, "--image-id", "00"), 2),
        ((receipt,), 2),
        ((receipt.parent / "absent", "--image-id", echo_id()), 3),
        ((HELLO, "--image-id", echo_id()), 1),
    ):
        result = program(*arguments, module="zkvm.verifier")
        assert result.returncode == code
        assert result.stdout == b""
        assert b"Traceback" not in result.stderr


def test_check() -> None:
    outcome = invoke("check", HELLO)
    assert (outcome.code, "all constraints hold" in outcome.out) == (0, True)
    assert invoke("check", HELLO, "--json").json == {"ok": True, "failures": []}


def test_check_names_what_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from zkvm.stark.air.check import Failure

    monkeypatch.setattr("zkvm.api.check", lambda *arguments, **options: [Failure("add", "sum", "row 3", 3)])
    assert invoke("check", HELLO).out == "add: sum: row 3\n1 failures\n"
    outcome = invoke("check", HELLO, "--json")
    assert (outcome.code, outcome.json["failures"]) == (1, [{"where": "add", "label": "sum", "detail": "row 3", "row": 3}])


def test_image_id_and_inspect(receipt: Path, tmp_path: Path) -> None:
    assert invoke("image-id", ECHO).out == echo_id() + "\n"
    identity = invoke("image-id", ECHO, "--json").json
    view = invoke("inspect", ECHO, "--json").json
    assert (view["kind"], view["image_id"], view["content_id"]) == ("program", identity["image_id"], identity["content_id"])
    assert view["entry"] in range(view["segments"][0]["address"], view["segments"][0]["address"] + view["segments"][0]["size"])
    assert "segment" in invoke("inspect", ECHO).out
    assert (view["tensor_calls"], [segment["tensor_constants"] for segment in view["segments"]]) == ({}, [None, None])
    inside = invoke("inspect", receipt, "--json").json
    assert (inside["kind"], inside["image_id"], inside["journal"]) == ("receipt", echo_id(), TEXT.hex())
    assert "not verified by this command" in invoke("inspect", receipt).out
    dev_receipt().save(tmp_path / "dev")
    assert "DEV: nothing is proven" in invoke("inspect", tmp_path / "dev").out
    (tmp_path / "cut").write_bytes(receipt.read_bytes()[:-9])
    assert invoke("inspect", tmp_path / "cut").code == 3


def test_disasm() -> None:
    listing = invoke("disasm", HELLO).out
    assert "_start:\n" in listing
    assert "ecall" in listing
    rows = invoke("disasm", HELLO, "--json").json["instructions"]
    assert len(rows) == invoke("inspect", HELLO, "--json").json["instructions"]
    assert (rows[0]["function"], rows[0]["pc"]) == ("_start", 0x10000)


def test_build(tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    outcome = invoke("build", GUESTS / "echo" / "main.c", "-o", tmp_path / "echo.elf", "--strip", "--json")
    assert outcome.code == 0
    assert outcome.json["bytes"] == (tmp_path / "echo.elf").stat().st_size
    assert (tmp_path / "echo.elf").read_bytes() == ECHO.read_bytes()
    (tmp_path / "bad.c").write_text("int main(void) { return nothing; }")
    failed = invoke("build", tmp_path / "bad.c", "-o", tmp_path / "bad.elf")
    assert failed.code == 3
    assert "nothing" in failed.err
    assert not (tmp_path / "bad.elf").exists()


def test_a_regime_is_demanded_of_a_receipt(receipt: Path) -> None:
    refused = invoke("verify", receipt, "--image-id", echo_id(), "--regime", "unique")
    assert (refused.code, "88.1 proven bits for this shape under regime 'unique', 100 demanded" in refused.err) == (1, True)
    accepted = invoke("verify", receipt, "--image-id", echo_id(), "--regime", "unique", "--min-security", "88")
    assert accepted.code == 0
    assert "88 bits, proven (101 best, 100 bciks20, 88 unique)" in accepted.out
    assert invoke("verify", receipt, "--image-id", echo_id(), "--regime", "bciks20").code == 0
    assert "no regime 'capacity'" in invoke("verify", receipt, "--image-id", echo_id(), "--regime", "capacity").err


def test_a_run_that_a_regime_would_refuse_is_not_proven(tmp_path: Path) -> None:
    outcome = invoke("run", HELLO, "--regime", "unique", "--out", tmp_path / "r")
    assert (outcome.code, "would be refused: 96.6 proven bits" in outcome.err) == (2, True)
    assert not (tmp_path / "r").exists()
    assert "no regime 'lucky'" in invoke("run", HELLO, "--execute-only", "--regime", "lucky").err


def test_soundness_of_every_regime() -> None:
    view = invoke("soundness", "--params", "fast", "--security", "100", "--json").json
    assert {name: round(bits, 1) for name, bits in view["bits_by_regime"].items()} == {"best": 101.5, "bciks20": 98.6, "unique": 88.1}
    assert set(view["events"]) == set(view["terms"])
    text = invoke("soundness", "--params", "fast", "--security", "100")
    assert (text.code, "all queries miss a codeword that is far away" in text.out) == (0, True)
    assert "98.6 bits  Johnson bound of 2020, m = 39  less than the claim of 100" in text.out
    older = invoke("soundness", "--params", "fast", "--security", "100", "--regime", "bciks20")
    assert (older.code, "NOT REACHED under this regime" in older.out) == (1, True)
    assert invoke("soundness", "--regime", "lucky").code == 2


def test_soundness() -> None:
    assert invoke("soundness", "--json").json["claimed_bits"] == 128
    view = invoke("soundness", "--params", "compact", "--security", "128", "--rows", "2^18", "--json").json
    assert view["security_bits"] >= view["claimed_bits"] == 128
    assert set(view["terms"]) >= {"batching", "query", "constraints", "out of domain", "buses"}
    assert "all together" in invoke("soundness").out


def test_help_names_every_command() -> None:
    text = invoke("--help").out
    for command in COMMANDS:
        assert f" {command} " in text


@pytest.mark.parametrize("name", list(COMMANDS))
def test_commands_are_listed_with_the_first_line_of_their_help(name: str) -> None:
    assert load(name).help.partition("\n")[0] == COMMANDS[name][1]
    text = invoke(name, "--help").out
    assert "--help" in text
    assert COMMANDS[name][1].split()[0] in text


@pytest.mark.parametrize("arguments", [("--help",), ("verify", "--help"), ("inspect", "--help")])
def test_a_command_loads_what_it_needs_only(arguments: tuple[str, ...]) -> None:
    code = (
        f"import sys; sys.argv[1:] = {list(arguments)!r}\nfrom zkvm.cli.main import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
    )
    code += "print([name for name in ('numba', 'elftools', 'zkvm.api', 'zkvm.ml') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert result.stdout.splitlines()[-1] == "[]"


def without(package: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line where a package is not installed."""
    block = (
        f"import sys; sys.modules[{package!r}] = None; sys.argv[1:] = {list(map(str, arguments))!r}; from zkvm.cli.main import main; main()"
    )
    return subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_without_the_prove_extra(receipt: Path) -> None:
    for arguments in (("run", HELLO), ("check", HELLO), ("profile", HELLO)):
        result = without("numba", *arguments)
        assert result.returncode == 2
        assert "pip install 'zkvm[prove]'" in result.stderr
        assert "Traceback" not in result.stderr
    assert without("numba", "verify", receipt, "--image-id", echo_id()).returncode == 0
    assert without("elftools", "verify", receipt, "--image-id", echo_id()).returncode == 0
    assert without("numba", "inspect", receipt).returncode == 0
    assert without("elftools", "disasm", HELLO).returncode == 0


def bare(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in the base installation: without any package of an extra."""
    code = f"sys.argv[1:] = {list(map(str, arguments))!r}; from zkvm.cli.main import main; main()"
    return run_without_extras(code, base=True)


def test_programs_in_the_base_installation(receipt: Path) -> None:
    """Image IDs are those that the kernels compute; a receipt is verified by its program."""
    result = bare("image-id", ECHO)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{echo_id()}\n", "")
    assert json.loads(bare("inspect", ECHO, "--json").stdout) == invoke("inspect", ECHO, "--json").json
    assert bare("disasm", HELLO).stdout == invoke("disasm", HELLO).out
    accepted = bare("verify", receipt, "--elf", ECHO)
    assert (accepted.returncode, accepted.stdout.splitlines()[0], accepted.stderr) == (0, "accepted", "")
    none = bare("verify", receipt, "--elf", receipt)
    assert (none.returncode, none.stdout) == (3, "")
    assert "not an ELF file" in none.stderr


def test_verify_by_program_and_image_id(receipt: Path, tmp_path: Path) -> None:
    """Both must name one program; a compiled model's directory is its program."""
    assert invoke("verify", receipt, "--elf", ECHO, "--image-id", echo_id()).code == 0
    for elf, image_id in ((HELLO, echo_id()), (ECHO, "00" * 32), (ECHO, compute_image_id(HELLO))):
        outcome = invoke("verify", receipt, "--elf", elf, "--image-id", image_id, "--json")
        assert (outcome.code, outcome.json["accepted"], outcome.json["reason"]) == (1, False, "IMAGE_ID")
    (tmp_path / "model.elf").write_bytes(ECHO.read_bytes())
    assert invoke("verify", receipt, "--elf", tmp_path).code == 0
    assert invoke("image-id", tmp_path).out == f"{echo_id()}\n"


def test_a_closed_pipe_is_no_crash() -> None:
    command = f"{sys.executable} -m zkvm disasm {GUESTS / 'mixed' / 'mixed.elf'} | head -1"
    result = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("identity", "code"), [(None, 0), ("00" * 32, 1), ("00", 2)])
def test_a_process_ends_with_its_output_written_and_its_code(receipt: Path, identity: str | None, code: int) -> None:
    command = [sys.executable, "-m", "zkvm", "verify", str(receipt), "--image-id", identity or echo_id(), "--json"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == code
    assert json.loads(result.stdout).get("accepted") == {0: True, 1: False, 2: None}[code]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_process_without_a_stream_ends_with_its_code(receipt: Path, closed: str) -> None:
    command = f"{sys.executable} -m zkvm verify {receipt} --image-id {echo_id()} {closed}"
    assert subprocess.run(command, shell=True, cwd=ROOT, check=False, timeout=120).returncode == 0
