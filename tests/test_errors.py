"""Every error of the package can be pickled and copied, those that will be added too."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest

import zkvm
from zkvm import errors
from zkvm.errors import FormatError, Frame, GuestTrap, RejectReason, ZkvmError

for _module in pkgutil.walk_packages(zkvm.__path__, "zkvm."):
    if not _module.name.endswith("__main__") and ".kernels.source" not in _module.name:  # kernels cannot raise
        importlib.import_module(_module.name)

SAMPLES = {"str": "what, where, what to do", "int": 5, "RejectReason": RejectReason.BUS}
"""Values of the annotated arguments of constructors."""


def error_classes(base: type[ZkvmError] = ZkvmError) -> list[type[ZkvmError]]:
    """The tree of errors, as far as any module of the package goes."""
    return [base, *(found for child in base.__subclasses__() for found in error_classes(child) if found.__module__.startswith("zkvm."))]


def sample(kind: type[ZkvmError]) -> ZkvmError:
    """An error of this class, with everything that one can have."""
    parameters = [] if kind.__init__ is Exception.__init__ else list(inspect.signature(kind.__init__).parameters.values())[1:]
    error = kind(*(SAMPLES[str(parameter.annotation)] for parameter in parameters)) if parameters else kind("what, where, what to do")
    error.add_note("a note")
    if isinstance(error, GuestTrap):
        error.frames = (Frame("main+0x4", 0x1000, "main.c", 3), Frame("_start", 0x1010, "", 0, inlined=True))
    return error


def same(one: BaseException, other: BaseException) -> bool:
    return (type(one), str(one), one.args, one.__dict__) == (type(other), str(other), other.args, other.__dict__)


def test_the_tree_is_walked() -> None:
    names = {kind.__name__ for kind in error_classes()}
    assert {value.__name__ for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, ZkvmError)} <= names
    assert "InputFileError" in names, "of the command line"


def name_of(through: object) -> str:
    """Of a way to copy: the same in every process."""
    return str(getattr(through, "__name__", through))


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("through", [*range(pickle.HIGHEST_PROTOCOL + 1), copy.copy, copy.deepcopy], ids=name_of)
def test_every_error_can_be_copied(kind: type[ZkvmError], through: int | Callable[[Any], Any]) -> None:
    error = sample(kind)
    other = through(error) if callable(through) else pickle.loads(pickle.dumps(error, through))
    assert other is not error
    assert same(error, other)
    assert other.__notes__ == ["a note"]
    assert error == error
    assert len({error, other}) == 2, "errors are compared by identity, as exceptions are"


def test_a_format_error_says_its_reason_once() -> None:
    assert str(pickle.loads(pickle.dumps(FormatError("d")))) == "FORMAT: d"
