"""Work without the collector of cyclic garbage: nothing is lost by it, and who froze objects has them frozen."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from zkvm.session.resources import MANY_OBJECTS, no_collection

ROOT = Path(__file__).resolve().parent.parent.parent


class Ring:
    """Cyclic garbage as soon as nobody has it."""

    def __init__(self) -> None:
        self.ring = self


@pytest.mark.parametrize("count", [0, 2 * MANY_OBJECTS])
def test_garbage_that_was_made_meanwhile_is_found_later(count: int) -> None:
    frozen = gc.get_freeze_count()
    with no_collection():
        assert not gc.isenabled()
        kept: list[list[int]] = [[] for _ in range(count)]
        found = weakref.ref(Ring())
        assert found() is not None
    assert gc.isenabled()
    assert len(kept) == count
    assert gc.get_freeze_count() <= frozen
    gc.collect()
    assert found() is None


def test_many_new_objects_are_not_looked_at_when_it_ends() -> None:
    code = """
import gc
from zkvm.session.resources import MANY_OBJECTS, no_collection
with no_collection():
    kept = [[] for _ in range(2 * MANY_OBJECTS)]
assert len(gc.get_objects(2)) > 2 * MANY_OBJECTS and not gc.get_freeze_count()
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_what_was_frozen_stays_frozen() -> None:
    code = """
import gc
from zkvm.session.resources import MANY_OBJECTS, no_collection
gc.freeze()
before = gc.get_freeze_count()
with no_collection():
    kept = [[] for _ in range(2 * MANY_OBJECTS)]
assert 0 < before // 2 < gc.get_freeze_count() <= before
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
