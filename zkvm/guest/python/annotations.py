"""Annotations of functions: CPython ignores them, here they are checked, so that what they say of a guest is true."""

from __future__ import annotations

import typing
from typing import Any

import numpy as np

from zkvm.guest.python.body import Body
from zkvm.guest.python.types import BOOL, FLOAT, INT, NONE, Array, Known, Scalar, Tuple, Type


def promised(annotation: Any) -> Type | None:
    """The type of a number that an annotation names exactly; None for anything else."""
    if annotation is bool:
        return BOOL
    if annotation is int:
        return INT
    if isinstance(annotation, type) and issubclass(annotation, np.generic):
        return Scalar(np.dtype(annotation).name)
    return None


def check_annotation(body: Body, what: str, annotation: Any, kind: Type) -> None:
    """Refuse a value that its annotation does not describe; annotations of other kinds than numbers, arrays and records are let be.

    Raises:
        RefusedError: it does not.
    """
    if annotation is None or annotation is Any or kind == Known("never", "never"):
        return
    wrong = False
    if annotation is type(None):
        wrong = kind != NONE
    elif annotation is float:
        wrong = kind not in (FLOAT, INT, Scalar("float64"))
    elif (number := promised(annotation)) is not None:
        wrong = kind != number
    elif annotation is np.ndarray or typing.get_origin(annotation) is np.ndarray:
        dtype = _element(annotation)
        wrong = not isinstance(kind, Array) or (dtype is not None and kind.dtype != dtype)
    elif isinstance(annotation, type) and isinstance(kind, Tuple) and kind.cls is not None:
        wrong = not issubclass(kind.cls, annotation)
    if wrong:
        shown = getattr(annotation, "__name__", str(annotation))
        raise body.refusal(f"{what} is annotated {shown}, and is {kind}", "a conversion, or another annotation")


def _element(annotation: Any) -> Scalar | None:
    """The element type that ``NDArray[...]`` names."""
    for argument in typing.get_args(annotation):
        if typing.get_origin(argument) is np.dtype:
            (scalar,) = typing.get_args(argument)
            if isinstance(scalar, type) and issubclass(scalar, np.generic):
                name = np.dtype(scalar).name
                return BOOL if name == "bool" else Scalar(name)
    return None
