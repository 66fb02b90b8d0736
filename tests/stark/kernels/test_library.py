"""Kernels called through the library: what a call checks, the file, and its damage."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import int64, types, uint64, void

from zkvm.riscv.kernels import interpreter
from zkvm.riscv.kernels.interpreter import DECODED
from zkvm.riscv.records import REFRESH, STEP
from zkvm.stark.kernels import columns, file, library, manifest
from zkvm.stark.kernels.counting import count_values
from zkvm.stark.kernels.file import Compiled, Parameter
from zkvm.stark.kernels.library import Kernel, kernel
from zkvm.stark.kernels.source import build
from zkvm.stark.kernels.source.entry import ENTRIES, Entry, readonly, stack_array
from zkvm.stark.kernels.twiddles import fill_geometric
from zkvm.stark.kernels.width import WORD_LANES

PARAMETERS = {
    "a.f": [Parameter("int64", None, 0, False), Parameter("array", np.dtype(np.uint64), 2, True)],
    "b.g": [Parameter("bool", None, 0, False), Parameter("array", DECODED, 1, False), Parameter("array", REFRESH, 1, True)],
}


def words(count: int = 16) -> np.ndarray:
    return np.zeros(count, dtype=np.uint64)


def test_integers_of_any_kind_are_taken() -> None:
    for first, ratio in ((1, 3), (np.uint64(1), np.int64(3)), (np.uint8(1), 3), (True, 3)):
        out = words()
        assert fill_geometric(out, 0, np.int32(16), first, ratio) == 0
        assert out.tolist() == [3**i for i in range(16)]
    out = words()
    fill_geometric(out, 0, 8, 2**64 - 2**32, 1)
    assert out[:8].tolist() == [2**64 - 2**32] * 8


@pytest.mark.parametrize("scalar", [1.0, np.float64(1), None, "1", -1, 2**64, np.zeros(2)])
def test_other_scalars_are_refused(scalar: object) -> None:
    out = words()
    with pytest.raises(TypeError, match=r"twiddles\.fill_geometric"):
        fill_geometric(out, 0, 16, scalar, 3)
    assert not out.any()


def test_other_arrays_are_refused() -> None:
    frozen = words()
    frozen.flags.writeable = False
    misaligned = np.zeros(129, np.uint8)[1:].view(np.uint64)
    wrong = [
        words().astype(np.int64), words().astype(np.uint32), words().astype(">u8"), words(32)[::2], words().reshape(2, 8), frozen,
        misaligned,
        words().tolist(), 0, None,
    ]  # fmt: skip
    for out in wrong:
        with pytest.raises(TypeError, match=r"twiddles\.fill_geometric"):
            fill_geometric(out, 0, 8, 1, 3)
    with pytest.raises(TypeError, match="takes 5 arguments, not 4"):
        fill_geometric(words(), 0, 8, 1)


def test_what_is_only_read_need_not_be_writable() -> None:
    values = np.array([2, 2, 1], np.uint64)
    values.flags.writeable = False
    histogram = words(4)
    assert count_values(values, values, np.ones(4, bool), histogram) == -1
    assert histogram.tolist() == [0, 1, 2, 0]


def test_results_are_integers_and_may_be_negative() -> None:
    assert count_values(words(2), words(2), np.ones(4, bool), words(4)) == -1
    assert count_values(np.full(2, 9, np.uint64), np.ones(2, np.uint64), np.ones(4, bool), words(4)) == 0


def test_every_declared_kernel_is_defined_and_the_other_way_round() -> None:
    package = Path(library.__file__).parents[2]
    modules = [path for folder in manifest.FOLDERS for path in (package / folder).glob("*.py") if path.name != "library.py"]
    declared = {part.split('"')[1] for path in modules for part in path.read_text().split("kernel(")[1:]}
    build.import_definitions()
    assert declared == set(ENTRIES) == set(library.load().parameters)


def test_kernels_of_both_wings_have_names_of_their_own() -> None:
    """A kernel is called by the last part of its module's name."""
    names = [module.rpartition(".")[2] for module in manifest.MODULES]
    assert len(set(names)) == len(names)


def test_an_unknown_kernel() -> None:
    with pytest.raises(RuntimeError, match=r"there is no kernel counting\.missing"):
        kernel("counting.missing")()


def test_records_are_described_completely() -> None:
    parameters = library.load().parameters["interpreter.run"]
    assert parameters[0].dtype == DECODED
    assert [value.dtype for value in parameters if value.dtype is not None and value.dtype.fields] == [DECODED, STEP, REFRESH]
    assert isinstance(interpreter.run, Kernel)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "kernels"
    file.write(path, Compiled((b"code", b"more"), PARAMETERS))
    assert file.read(path) == Compiled((b"code", b"more"), PARAMETERS)
    file.write(path, Compiled((b"other",), {}))
    assert file.read(path) == Compiled((b"other",), {})
    assert os.listdir(path.parent) == ["kernels"]


def test_a_damaged_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "kernels"
    assert file.read(path) is None
    file.write(path, Compiled((b"code" * 9,), PARAMETERS))
    good = path.read_bytes()
    damaged = [good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :] for i in range(len(good))]
    for data in (*damaged, *(good[:i] for i in range(len(good))), good + b"\0", b"\x7fELF", os.urandom(1000)):
        path.write_bytes(data)
        assert file.read(path) is None
    path.write_bytes(good)
    assert file.read(path) == Compiled((b"code" * 9,), PARAMETERS)


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    with pytest.raises(OSError, match="kernels"):
        file.write(tmp_path / "kernels", Compiled((b"code",), {}))
    assert os.listdir(tmp_path) == ["kernels"]


def test_the_file_depends_on_processor_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = library.library_path()
    assert usual == library.library_path()
    for name, value in (("NUMBA_CPU_NAME", "generic"), ("NUMBA_CPU_FEATURES", "+avx2"), ("NUMBA_BOUNDSCHECK", "1")):
        with monkeypatch.context() as context:
            context.setenv(name, value)
            assert library.library_path() not in (usual, usual.parent)
    with monkeypatch.context() as context:
        context.setattr(library, "WORD_LANES", 12 - WORD_LANES)
        assert library.library_path() != usual


def allocating(out):  # type: ignore[no-untyped-def]
    return np.int64(np.zeros(len(out), np.uint64)[0])


def copying(out):  # type: ignore[no-untyped-def]
    out[:4] = out[4:8]
    return np.int64(0)


def reshaping(out):  # type: ignore[no-untyped-def]
    return np.int64(out.reshape(2, len(out) >> 1)[1, 0])


def raising(out):  # type: ignore[no-untyped-def]
    if out[0] == np.uint64(7):
        raise ValueError("seven")
    scratch = space()
    scratch[0] = out[0]
    out[1] = scratch[0]
    out[2] = np.uint64(scratch.ctypes.data)
    return np.int64(len(scratch))


space = stack_array(uint64, 24)


@pytest.mark.parametrize("function", [allocating, copying, reshaping])
def test_kernels_that_need_the_runtime_are_refused(function: Any) -> None:
    with pytest.raises(RuntimeError, match=r"kernel test\.any does not compile|kernels cannot allocate or call into Python, but they need"):
        build.compile_entries({"test.any": Entry(function, int64(uint64[::1]))})


@pytest.mark.parametrize("signature", [void(types.float64), void(uint64[:]), void(types.unicode_type)])
def test_signatures_that_python_cannot_call_are_refused(signature: object) -> None:
    with pytest.raises(TypeError, match="a kernel cannot have an argument of type"):
        build.compile_entries({"test.any": Entry(allocating, signature)})
    with pytest.raises(TypeError, match=r"kernel test\.any returns float64"):
        build.compile_entries({"test.any": Entry(allocating, types.float64(readonly(uint64)))})


def test_an_error_inside_is_an_exception_and_scratch_space_is_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = build.compile_entries({"test.raising": Entry(raising, int64(uint64[::1]))})
    assert compiled.parameters == {"test.raising": [Parameter("array", np.dtype(np.uint64), 1, True)]}
    monkeypatch.setattr(library, "_loaded", library.Library(library.engine(compiled.objects), compiled.parameters))
    call, out = kernel("test.raising"), words()
    out[0] = 5
    assert call(out) == 24
    assert out[1] == 5
    assert int(out[2]) % 64 == 0
    out[0] = 7
    with pytest.raises(RuntimeError, match=r"kernel test\.raising failed"):
        call(out)


def test_drivers_refuse_before_they_call() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        columns.base_powers(3, 12)


@pytest.mark.parametrize("executable", ["", "/bin/false", "/absent", "/bin/echo"])
def test_groups_are_compiled_here_where_no_other_process_can(monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    assert build._compile_side_by_side() is None
    monkeypatch.setattr(build, "compile_group", lambda number: Compiled((bytes([number]),), {f"kernel.{number}": []}))
    compiled = build.compile_kernels()
    assert compiled.objects == tuple(bytes([number]) for number in range(len(manifest.GROUPS)))
    assert list(compiled.parameters) == [f"kernel.{number}" for number in range(len(manifest.GROUPS))]
