"""Every snippet of the pages is executed: here, or by a test of the page's own."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import zkvm
from tests.guest.compiled import needs_compiler
from tests.receipts import ECHO, TEXT, echo_receipt

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^(?:<!-- snippet: (?P<note>[^>]*?) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = ("sh", "python", "c")
KINDS = (*RUN, "js")
CHANGING = re.compile(r"\b[0-9a-f]{64}\b|\d+(?:\.\d+)?")
"""What differs from run to run, and is not compared: image IDs, times, sizes."""


@dataclass(frozen=True)
class Snippet:
    """A block of code of a page.

    Attributes:
        language: as the page says.
        code: its lines.
        note: of the comment before it: ``skip, REASON`` or ``needs MODULE``; else empty.
        output: lines that the page shows as its output.
    """

    language: str
    code: str
    note: str = ""
    output: tuple[str, ...] = ()

    @property
    def wanted(self) -> bool:
        """Whether it can be executed here."""
        verb, _, what = self.note.partition(" ")
        return self.language in KINDS and verb.rstrip(",") != "skip" and not (verb == "needs" and importlib.util.find_spec(what) is None)


def snippets(text: str) -> Iterator[Snippet]:
    """The blocks of a page; a block ``text`` is the output of the one before it."""
    found = [Snippet(match["language"], match["code"], match["note"] or "") for match in FENCE.finditer(text)]
    for snippet, after in zip(found, [*found[1:], Snippet("", "")], strict=False):
        if snippet.language != "text":
            shown = tuple(after.code.splitlines()) if after.language == "text" else ()
            yield Snippet(snippet.language, snippet.code, snippet.note, shown)


def squares(folder: Path) -> None:
    """The guest of the template, built."""
    from zkvm.guest.template import new_project
    from zkvm.guest.toolchain import build

    new_project(folder / "squares")
    build([folder / "squares" / "main.c"], folder / "squares.elf")


def echo(folder: Path) -> None:
    """A guest with an input and a receipt."""
    for name in ("guest.elf", "GUEST.elf"):
        shutil.copy(ECHO, folder / name)
    for name in ("private.bin", "FILE"):
        (folder / name).write_bytes(TEXT)
    for name in ("run.receipt", "guest.receipt"):
        echo_receipt().save(folder / name)
    shutil.copy(ROOT / "guest_programs" / "hello" / "main.c", folder / "main.c")
    (folder / "web").symlink_to(ROOT / "web")


def batch(folder: Path) -> None:
    """A guest with inputs."""
    echo(folder)
    (folder / "FOLDER").mkdir()
    for name in "ab":
        (folder / "FOLDER" / name).write_text(name)


def network(folder: Path) -> None:
    """A small network and data, in EZKL's files and in numpy's."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(3)
    weights = {"w": (4, 3), "b": (3,)}
    constants = [numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name) for name, shape in weights.items()]
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]) for name, width in (("x", 4), ("y", 3))]
    graph = helper.make_graph(nodes, "network", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    samples = rng.normal(size=(20, 4)).astype(np.float32)
    for name in ("network.onnx", "model.onnx"):
        (folder / name).write_bytes(model.SerializeToString())
    for name, data in (("calibration.json", samples), ("input.json", samples[:1])):
        (folder / name).write_text(json.dumps({"input_data": [data.reshape(-1).tolist()]}))
    for name, data in (("calibration.npy", samples), ("samples.npy", samples), ("x.npy", samples[:1])):
        np.save(folder / name, data)


def shells(folder: Path) -> None:
    """Where shells look for completions."""
    for name in (".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions"):
        (folder / name).mkdir(parents=True)


@dataclass(frozen=True)
class Page:
    """How a page's snippets are executed.

    Attributes:
        before: makes the files that they need.
        first: Python that comes before each of its own.
        replaced: what stands in the page for something of the reader's.
        languages: of the blocks; a test of the page's own executes others.
    """

    before: Callable[[Path], None] = lambda folder: None
    first: str = ""
    replaced: tuple[tuple[str, str], ...] = ()
    languages: tuple[str, ...] = RUN


INSTALLED = (("pip install '.[prove,guest]'", "true"),)
HEX = (("HEX", zkvm.compute_image_id(ECHO)),)
DOCS = {
    "tutorial.md": Page(),
    "onnx-tutorial.md": Page(),
    "from-ezkl.md": Page(network),
    "from-risc-zero.md": Page(squares),
    "index.md": Page(),
    "hosts.md": Page(squares),
    "receipts.md": Page(echo, 'import zkvm\ndata = open("run.receipt", "rb").read()\n', HEX),
    "profiling.md": Page(echo),
    "ml.md": Page(
        network, "", (("model.prove(x)", "model.prove(x, params='fast')"), ("model.run(x)", "model.run(x := np.load('x.npy'))"),
                      ("prove_many(samples,", "prove_many(np.load('samples.npy')[:2], params='fast',"), ("image_id)", "model.image_id())"))
    ),
    "cluster.md": Page(batch, "import zkvm\n"),
    "command-line.md": Page(shells, replaced=(("~/", "./"),)),
    "poseidon2.md": Page(),
    "guests.md": Page(replaced=INSTALLED, languages=("sh",)),
    "python-guests.md": Page(replaced=INSTALLED, languages=("sh",)),
}  # fmt: skip
"""Pages of docs/ whose snippets are executed here."""
SHORT = ("tutorial.md", "from-ezkl.md", "from-risc-zero.md", "command-line.md")
"""Those that every run of the tests executes; the others take long, or do what another page does too."""
ELSEWHERE = {
    "guests.md": "tests/guest/test_documentation.py",
    "python-guests.md": "tests/guest/python/test_page.py",
    "toolchains.md": "tests/guest/test_other_toolchains.py",
    "extending.md": "tests/test_extending.py",
    "tour.md": "tests/tools/test_site.py",
    "applications.md": "tests/host/test_stories.py",
    "serve.md": "tests/serve/test_page.py",
}
"""Pages whose own tests execute them."""
NOT_RUN = {"security.md": "the long campaigns, each of which is the command of a test's slow form", "zero-knowledge.md": "", "air.md": ""}


def environment() -> dict[str, str]:
    """Variables of a shell that finds this environment's commands."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}, "PATH": path}


def command_of(snippet: Snippet, folder: Path, page: Page) -> list[str]:
    """The command that executes a snippet."""
    code = snippet.code
    for old, new in page.replaced:
        code = code.replace(old, new)
    if snippet.language == "sh":
        return ["bash", "-e", "-c", code]
    name = folder / {"python": "snippet.py", "c": "snippet.c", "js": "snippet.mjs"}[snippet.language]
    name.write_text(page.first + code if snippet.language == "python" else code)
    build = [sys.executable, "-m", "zkvm", "build", str(name), "-o", str(name.with_suffix(".elf"))]
    return {"python": [sys.executable, str(name)], "c": build, "js": ["node", str(name)]}[snippet.language]


def executed(text: str, page: Page, folder: Path) -> int:
    """Execute a page's snippets in order, in one folder, and compare what they print; how many there were."""
    page.before(folder)
    place, count = folder, 0
    for snippet in snippets(text):
        if not snippet.wanted or snippet.language not in page.languages:
            continue
        done = subprocess.run(
            command_of(snippet, folder, page), cwd=place, env=environment(), capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, f"{snippet.code}\n{done.stdout}{done.stderr}"
        printed = {CHANGING.sub("#", line).rstrip() for line in (done.stdout + done.stderr).splitlines()}
        for line in snippet.output:
            assert CHANGING.sub("#", line).rstrip() in printed, (
                f"{snippet.code}\nprints no line like\n{line}\nbut\n{done.stdout}{done.stderr}"
            )
        for target in re.findall(r"^(?:.*&& )?cd (\w+)$", snippet.code, re.MULTILINE):
            place = place / target
        count += 1
    return count


@needs_compiler
@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in SHORT else [pytest.mark.slow]) for name in DOCS])
def test_snippets_do_what_the_page_says(name: str, tmp_path: Path) -> None:
    assert executed((ROOT / "docs" / name).read_text(), DOCS[name], tmp_path) > 0


@needs_compiler
@pytest.mark.slow
def test_snippets_of_the_readme(tmp_path: Path) -> None:
    assert executed((ROOT / "README.md").read_text(), Page(echo_and_network, "", HEX), tmp_path) > 0


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_snippets_of_the_verifier_in_javascript(tmp_path: Path) -> None:
    page = Page(javascript, "", HEX, ("js",))
    assert executed((ROOT / "web" / "verifier" / "README.md").read_text(), page, tmp_path) > 0


def javascript(folder: Path) -> None:
    """A receipt, and the package where Node looks for it."""
    echo(folder)
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "zkvm-verifier").symlink_to(ROOT / "web" / "verifier")


def echo_and_network(folder: Path) -> None:
    """Everything that the front page names."""
    echo(folder)
    network(folder)


def test_every_page_with_snippets_is_executed_somewhere() -> None:
    for path in sorted((ROOT / "docs").glob("*.md")):
        there = any(snippet.language in RUN for snippet in snippets(path.read_text()))
        assert not there or path.name in {**DOCS, **ELSEWHERE, **NOT_RUN}, f"{path.name} has snippets that no test executes"
    for test in ELSEWHERE.values():
        assert (ROOT / test).is_file()


def test_a_snippet_that_fails_or_prints_something_else_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no such place"):
        executed("```sh\necho no such place; false\n```\n", Page(), tmp_path)
    with pytest.raises(AssertionError, match="prints no line like"):
        executed("```sh\necho 3 lines\n```\n\n```text\n3 files\n```\n", Page(), tmp_path)
    assert executed("```sh\necho 3 lines\n```\n\n```text\n25 lines\n```\n", Page(), tmp_path) == 1
    skipped = "<!-- snippet: skip, why -->\n```sh\nfalse\n```\n\n<!-- snippet: needs no_such_module -->\n```python\n1 / 0\n```\n"
    assert executed(skipped, Page(), tmp_path) == 0
