"""The compiled kernels as Python calls them: loaded from one file, without numba.

``fill_geometric = kernel("twiddles.fill_geometric")`` is a function whose code is found at its first call. All kernels lie in one
file in the cache directory, which is loaded once a process. If there is none for these sources, this compiler and this processor, or it
is damaged, numba is imported, everything is compiled and the file written; if it cannot be written, the code is used
all the same. A warm start imports neither numba nor the kernels' sources, which are needed to compile and for nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import struct
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from zkvm.stark.kernels.file import FAILED, Compiled, Parameter, read, symbol, write
from zkvm.stark.kernels.manifest import cache_directory
from zkvm.stark.kernels.width import WORD_LANES, cpu_features, cpu_name

SETTINGS = ("NUMBA_ENABLE_AVX", "NUMBA_OPT", "NUMBA_BOUNDSCHECK", "NUMBA_LOOP_VECTORIZE", "NUMBA_SLP_VECTORIZE")
"""Variables beside the processor's that change what numba compiles."""
_POINTER = object.__basicsize__
"""Where an array object has the pointer to its data: its first field, by numpy's C interface, which does not change."""
_FORMATS = {"int64": "q", "uint64": "Q", "bool": "?7x"}


class Library(NamedTuple):
    """The loaded code; ``engine`` owns it."""

    engine: Any
    parameters: dict[str, list[Parameter]]


_loaded: Library | None = None
_loading = threading.Lock()
_prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p)  # releases the interpreter lock during the call


class Kernel:
    """A compiled kernel: calls it with arrays and integers, in the order of its definition.

    Attributes:
        name: the kernel's name, ``module.function``.
    """

    __slots__ = ("_arrays", "_function", "_pack", "_scalars", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._function: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """Run the kernel.

        Args:
            *arguments: arrays of the kernel's dtype and number of axes, C-contiguous, and writable unless it only reads them; integers.

        Returns:
            An integer: the kernel's result, 0 if it has none.

        Raises:
            TypeError: another number of arguments, an array that does not fit, or no integer of the right range. Nothing has run then.
            RuntimeError: the kernel failed, or there is none of this name.
        """
        if self._function is None:
            self._bind()
        if len(arguments) != len(self._arrays) + len(self._scalars):
            raise TypeError(f"{self.name} takes {len(self._arrays) + len(self._scalars)} arguments, not {len(arguments)}")
        words: list[Any] = []
        for position, dtype, ndim, writable in self._arrays:
            array = arguments[position]
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{self.name}: expected an array of {dtype}, got {type(array).__name__}")
            shape, flags = array.shape, array.flags
            fits = flags.carray if writable else flags.c_contiguous and flags.aligned
            if not fits or len(shape) != ndim or array.dtype != dtype:
                raise TypeError(self._complaint(array, dtype, ndim, writable))
            words.append(id(array) + _POINTER)
            words += shape
        words += [arguments[position] for position in self._scalars]
        try:
            packed = self._pack(*words)
        except (struct.error, TypeError) as error:
            raise TypeError(f"{self.name}: {error}") from error
        result = self._function(packed)
        if result == FAILED:
            raise RuntimeError(f"kernel {self.name} failed")
        return result

    def _complaint(self, array: Any, dtype: Any, ndim: int, writable: bool) -> str:
        wanted = f"{'writable ' if writable else ''}C-contiguous array of {dtype} with {ndim} axes"
        got = f"{array.dtype} {array.shape}, strides {array.strides}, {'' if array.flags.writeable else 'not '}writable"
        return f"{self.name}: expected a {wanted}, got {got}"

    def _bind(self) -> None:
        """Find the code. Another thread may do the same: the last assignment makes the kernel ready."""
        library = load()
        parameters, address = library.parameters.get(self.name), library.engine.get_function_address(symbol(self.name))
        if parameters is None or not address:
            raise RuntimeError(f"there is no kernel {self.name}")
        arrays = [(position, value) for position, value in enumerate(parameters) if value.dtype is not None]
        self._arrays = [(position, *value[1:]) for position, value in arrays]
        self._scalars = [position for position, value in enumerate(parameters) if value.dtype is None]
        formats = [f"Q{value.ndim}q" for _, value in arrays] + [_FORMATS[parameters[position].kind] for position in self._scalars]
        self._pack = struct.Struct("=" + "".join(formats)).pack
        self._function = _prototype(address)


def kernel(name: str) -> Kernel:
    """The kernel that ``zkvm/stark/kernels/source`` defines as ``module.function``; nothing is loaded before the first call."""
    return Kernel(name)


def load() -> Library:
    """The kernels of this process, loaded at the first call, and compiled if they have to be.

    Raises:
        ModuleNotFoundError: they have to be compiled and numba is not installed.
    """
    global _loaded
    with _loading:
        if _loaded is None:
            _check_array_layout()
            path = library_path()
            content = read(path)
            if content is None:
                content = _compile(path)
            _loaded = Library(engine(content.objects), content.parameters)
        return _loaded


def library_path() -> Path:
    """The file for these sources, this compiler and this processor."""
    parts = [llvmlite.__version__, _numba_version(), llvm.get_process_triple(), cpu_name(), cpu_features(), str(WORD_LANES)]
    parts += [os.environ.get(name, "") for name in SETTINGS]
    return cache_directory() / f"kernels-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}"


def _compile(path: Path) -> Compiled:
    from zkvm.stark.kernels.source.build import compile_kernels

    compiled = compile_kernels()
    try:
        write(path, compiled)
    except OSError as error:
        advice = "set NUMBA_CACHE_DIR to a directory that can be written"
        warnings.warn(f"the compiled kernels cannot be kept, so that the next start compiles again: {error}; {advice}", RuntimeWarning, 2)
    return compiled


def engine(objects: tuple[bytes, ...]) -> Any:
    """LLVM's loader with the object files in memory."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for code in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _check_array_layout() -> None:
    probe = np.zeros(1, dtype=np.uint64)
    if ctypes.c_void_p.from_address(id(probe) + _POINTER).value != probe.ctypes.data:
        raise RuntimeError("this Python's numpy arrays do not begin with the pointer to their data")


def _numba_version() -> str:
    """What the installed numba says of its version, read from its file: a warm start does not import numba."""
    found = importlib.util.find_spec("numba")
    if found is None or not found.submodule_search_locations:
        return ""
    with contextlib.suppress(OSError):
        return hashlib.sha256((Path(found.submodule_search_locations[0]) / "_version.py").read_bytes()).hexdigest()
    return ""
