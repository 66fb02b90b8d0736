"""Compiles all kernels that Python calls into object files, one for each of some groups of modules, side by side.

Every kernel gets a C function ``int64 NAME(const int64 *words)``. The words are first the arrays, each the address of a pointer to its
data and its shape (all are contiguous), then the scalars. The result is the kernel's integer, 0 if it has none, or :data:`FAILED`.

This is the one module that uses numba's internals: its compiler, its calling convention between compiled functions, and its array
structure. Code is made for the processor and the features that numba itself would compile for.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import compiler
from numba.core.codegen import AOTCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import NumbaError
from numba.core.registry import cpu_target
from numba.np.arrayobj import make_array, populate_array
from numba.np.numpy_support import as_dtype

from zkvm.stark.kernels.file import FAILED, Compiled, Parameter, pack, symbol, unpack
from zkvm.stark.kernels.manifest import GROUPS, MODULES, cache_directory
from zkvm.stark.kernels.source.entry import ENTRIES, Entry
from zkvm.stark.kernels.width import WORD_LANES

RUNTIME = frozenset({"memcpy", "memmove", "memset"})
"""What the code may call: these functions of the C library, and nothing of numba's or Python's."""

_WORD = ir.IntType(64)
_SCALARS = {types.int64: "int64", types.uint64: "uint64", types.boolean: "bool"}


class _Codegen(JITCPUCodegen):
    """numba's code generator for this machine, which keeps the code as an object file instead of loading it."""

    _library_class: Any = AOTCodeLibrary

    def _add_module(self, module: Any) -> None:
        pass


def compile_kernels() -> Compiled:
    """All entries: the groups in processes of their own, as many at a time as there are processors, else one after the other.

    Raises:
        TypeError: a signature that Python cannot call.
        RuntimeError: a kernel needs something that is not in the file.
    """
    groups = _compile_side_by_side() or [compile_group(number) for number in range(len(GROUPS))]
    parameters = {name: kinds for group in groups for name, kinds in group.parameters.items()}
    return Compiled(tuple(code for group in groups for code in group.objects), parameters)


def compile_group(number: int) -> Compiled:
    """:func:`compile_kernels` of one group."""
    import_definitions(GROUPS[number])
    modules = [module.rpartition(".")[2] for module in GROUPS[number]]
    return compile_entries({name: entry for name, entry in ENTRIES.items() if name.partition(".")[0] in modules})


def import_definitions(modules: Iterable[str] = MODULES) -> None:
    """Import source modules, so that :data:`ENTRIES` holds their kernels."""
    for module in modules:
        import_module(module)


def _compile_side_by_side() -> list[Compiled] | None:
    """All groups, or None where processes of Python's cannot be started or one fails: then this process tells the error."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if processors == 1 or not sys.executable or getattr(sys, "frozen", False):
        return None

    package = str(Path(__file__).resolve().parents[4])  # before relative entries of the path, which mean another folder by now

    def run(number: int) -> Compiled | None:
        code = f"import sys; sys.path[:] = {[package, *sys.path]!r}; from zkvm.stark.kernels import manifest, width\n"
        code += f"assert manifest.cache_directory().name == {cache_directory().name!r}; width.WORD_LANES = {WORD_LANES}\n"
        code += f"from zkvm.stark.kernels.source.build import send_group; send_group({number})"
        command = [sys.executable, "-c", code]
        return unpack(subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout)

    try:
        with ThreadPoolExecutor(min(processors, len(GROUPS))) as pool:
            groups = list(pool.map(run, range(len(GROUPS))))
    except (OSError, subprocess.SubprocessError):
        return None
    complete = [group for group in groups if group is not None]
    return complete if len(complete) == len(GROUPS) else None


def send_group(number: int) -> None:
    """Compile a group and write the result to standard output: what a process started by :func:`compile_kernels` does."""
    sys.stdout.buffer.write(pack(compile_group(number)))


def compile_entries(entries: dict[str, Entry]) -> Compiled:
    """:func:`compile_kernels` of these entries, in this process and as one object file."""
    parameters = {name: [parameter(argument) for argument in entry.signature.args] for name, entry in entries.items()}
    with global_compiler_lock:
        library = _Codegen("zkvm").create_library("zkvm.stark.kernels")
        for name, entry in entries.items():
            _compile_entry(library, name, entry)
        library.finalize()
        missing = sorted(set(_undefined(library._final_module)) - RUNTIME)
        if missing:
            raise RuntimeError(f"kernels cannot allocate or call into Python, but they need {', '.join(missing)}")
        return Compiled((library.emit_native_object(),), parameters)


def parameter(numba_type: Any) -> Parameter:
    """What Python checks of an argument of this type.

    Raises:
        TypeError: Python cannot pass such an argument.
    """
    if numba_type in _SCALARS:
        return Parameter(_SCALARS[numba_type], None, 0, False)
    if isinstance(numba_type, types.Array) and numba_type.layout == "C":
        return Parameter("array", np.dtype(as_dtype(numba_type.dtype)), numba_type.ndim, numba_type.mutable)
    raise TypeError(f"a kernel cannot have an argument of type {numba_type}")


def _undefined(module: Any) -> Iterator[str]:
    """Names that the module uses and does not define."""
    for function in module.functions:
        if function.is_declaration and not function.name.startswith("llvm."):
            yield function.name
    for variable in module.global_variables:
        if variable.is_declaration:
            yield variable.name


def _compile_entry(library: Any, name: str, entry: Entry) -> None:
    """Adds a kernel and its C function to the library."""
    signature = entry.signature
    if signature.return_type not in (types.void, types.int64, types.boolean):
        raise TypeError(f"kernel {name} returns {signature.return_type}")
    flags: Any = compiler.Flags()
    cpu_target.options.parse_as_flags(flags, {"nopython": True, "error_model": "numpy"})
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.nrt = False
    typing_context, target_context = cpu_target.typing_context, cpu_target.target_context
    arguments: Any = (entry.function, signature.args, signature.return_type, flags, {}, library)
    try:
        compiled = compiler.compile_extra(typing_context, target_context, *arguments)
    except NumbaError as error:
        raise RuntimeError(f"kernel {name} does not compile without numba's runtime; it may not allocate: {error}") from error
    library.add_ir_module(_c_function(library, symbol(name), compiled))
    library.get_function(compiled.fndesc.llvm_func_name).linkage = "internal"  # only now: linking does not find internal functions


def _c_function(library: Any, name: str, compiled: Any) -> ir.Module:
    """The C function of a compiled kernel."""
    context, description = compiled.target_context, compiled.fndesc
    module = library.create_ir_module(name)
    kernel_type = context.call_conv.get_function_type(description.restype, description.argtypes)
    kernel = ir.Function(module, kernel_type, description.llvm_func_name)
    function = ir.Function(module, ir.FunctionType(_WORD, [_WORD.as_pointer()]), name)
    builder = ir.IRBuilder(function.append_basic_block())
    words, argument_types = _words(builder, function.args[0]), description.argtypes
    arrays_first = sorted(range(len(argument_types)), key=lambda index: not isinstance(argument_types[index], types.Array))
    values = {index: _argument(context, builder, argument_types[index], words) for index in arrays_first}
    arguments = [values[index] for index in range(len(argument_types))]
    status, result = context.call_conv.call_function(builder, kernel, description.restype, description.argtypes, arguments)
    with builder.if_then(status.is_error, likely=False):
        builder.ret(ir.Constant(_WORD, FAILED))
    if description.restype == types.boolean:
        builder.ret(builder.zext(result, _WORD))
    else:
        builder.ret(result if description.restype == types.int64 else ir.Constant(_WORD, 0))
    return module


def _words(builder: Any, address: Any) -> Iterator[Any]:
    """The words at an address, one after the other."""
    index = 0
    while True:
        yield builder.load(builder.gep(address, [ir.Constant(_WORD, index)]))
        index += 1


def _argument(context: Any, builder: Any, argument_type: Any, words: Iterator[Any]) -> Any:
    """The value of an argument, which takes its words."""
    if not isinstance(argument_type, types.Array):
        word = next(words)
        return word if argument_type != types.boolean else builder.icmp_unsigned("!=", word, ir.Constant(_WORD, 0))
    array = make_array(argument_type)(context, builder)
    data = builder.load(builder.inttoptr(next(words), array.data.type.as_pointer()))
    item_size = context.get_abi_sizeof(context.get_data_type(argument_type.dtype))
    shape = [next(words) for _ in range(argument_type.ndim)]
    strides: list[Any] = []
    stride: Any = ir.Constant(_WORD, item_size)
    for extent in reversed(shape):
        strides.insert(0, stride)
        stride = builder.mul(stride, extent)
    populate_array(array, data=data, shape=shape, strides=strides, itemsize=ir.Constant(_WORD, item_size), meminfo=None)
    return array._getvalue()
