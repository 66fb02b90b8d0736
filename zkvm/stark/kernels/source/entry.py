"""Marks the kernels that Python calls, and gives kernels scratch space without numba's runtime.

Such kernels are compiled together into one file (:mod:`zkvm.stark.kernels.source.build`), which a later process loads without numba
(:mod:`zkvm.stark.kernels.library`). So they cannot allocate, and anything but integers and arrays cannot be an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

STACK_ALIGNMENT = 64
"""A cache line, and the widest vector: no vector of scratch space crosses two lines."""


@dataclass(frozen=True)
class Entry:
    """A kernel that Python calls: what numba compiles, and its explicit signature."""

    function: Callable[..., Any]
    signature: Any


ENTRIES: dict[str, Entry] = {}
"""Every entry of the source modules imported so far, as ``module.function``."""


def entry(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator of a kernel that Python calls; other kernels may call it too.

    Args:
        signature: of int64, uint64, boolean and C-contiguous arrays; the result is void, int64 or boolean. Arrays that Python may not
            be able to write are declared ``readonly``.
    """

    def register(function: Callable[..., Any]) -> Any:
        module = function.__module__.rpartition(".")[2]
        ENTRIES[f"{module}.{function.__name__}"] = Entry(function, signature)
        return njit(nogil=True, error_model="numpy")(function)

    return register


def readonly(dtype: Any, ndim: int = 1) -> Any:
    """The type of a contiguous array that a kernel only reads."""
    return types.Array(dtype, ndim, "C", readonly=True)


def stack_array(dtype: Any, count: int) -> Any:
    """A function for kernels that returns scratch space of its caller's stack frame: (count,), uninitialised, the same at every call."""
    array_type = types.Array(dtype, 1, "C")

    def reserve(typing_context: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            element = context.get_data_type(dtype)
            with builder.goto_entry_block():  # once, even if the caller is in a loop
                place = builder.alloca(ir.ArrayType(element, count))
            place.align = STACK_ALIGNMENT
            array = make_array(array_type)(context, builder)
            size = context.get_constant(types.intp, context.get_abi_sizeof(element))
            data = builder.bitcast(place, element.as_pointer())
            shape = [context.get_constant(types.intp, count)]
            populate_array(array, data=data, shape=shape, strides=[size], itemsize=size, meminfo=None)
            return array._getvalue()

        return array_type(), generate

    return intrinsic(reserve)
