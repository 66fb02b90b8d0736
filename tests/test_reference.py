"""Every public name has a docstring of its own; that the reference shows it is tested with the site."""

from __future__ import annotations

import zkvm
import zkvm.ml


def test_every_public_name_is_documented() -> None:
    for name in zkvm.__all__:
        value = getattr(zkvm, name)
        assert value.__doc__, name
        assert not value.__doc__.startswith(f"{name}("), f"{name} has only the docstring that dataclasses make"
