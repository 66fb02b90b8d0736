"""What every proof begins with: loaded kernels, and the commitment of the program's image."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zkvm.riscv.header import ImageHeader
from zkvm.riscv.machine import machine
from zkvm.riscv.records import Image
from zkvm.session import memory
from zkvm.session.resources import no_collection, prove_extra
from zkvm.verifier.image import Matrices, image_columns, image_header

if TYPE_CHECKING:
    from zkvm.stark.air.machine import ChipCode, Machine
    from zkvm.stark.prover.preprocessed import Preprocessed

    Committed = tuple[ImageHeader, Matrices, Preprocessed]

AMPLE_BYTES = 1 << 31
"""With less, pages that are touched ahead may be why a run is refused, or why its records find no addresses (``ulimit -v``)."""


def prepare_prover(*machines: Machine, blowup: int = 0) -> None:
    """Load the compiled kernels first, so that no phase's seconds hold that of another's imports; keep memory between phases.

    Args:
        blowup: of a proof that several threads are about to make, in memory that nobody has limited for it; 0: there may be none.
        *machines: whose constraints and tapes are derived now, all of them; else they are as tables need them (:func:`prepare_tables`).
    """
    with no_collection(), prove_extra():
        from zkvm.stark.prover.memory import keep_freed_pages, touch_ahead

        keep_freed_pages()
        choose_pages(0)  # for the image, until the size of the proof is known
        if blowup and memory.available_bytes() > AMPLE_BYTES:
            touch_ahead(blowup)
        import zkvm.riscv.vm.executor
        import zkvm.stark.prover.prove  # noqa: F401
        from zkvm.stark.kernels import library
        from zkvm.stark.prover.tape_file import recall_tapes

        library.load()
        for own in machines:
            recall_tapes(own.codes)


def prepare_tables(codes: Iterable[ChipCode]) -> None:
    """Make the tapes of these tables, or read them: several threads will ask for them."""
    with no_collection(), prove_extra():
        from zkvm.stark.prover.tape_file import recall_tapes

        recall_tapes(codes)


def choose_pages(size: int) -> None:
    """Pages of the size that suits a proof of so many bytes."""
    with prove_extra():
        from zkvm.stark.prover import memory
    memory.choose_pages(size)


class _Kept:
    """The image that was committed last; it is kept only while somebody wants that."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted = 0
        self.key: tuple[bytes, int] | None = None
        self.committed: Committed | None = None


_kept = _Kept()


@contextmanager
def kept_image(for_good: bool = False) -> Iterator[None]:
    """Whatever is proven within commits an image once, if the one before is the same; ``for_good``: also what is proven later."""
    with _kept.lock:
        _kept.wanted += 1
    try:
        yield
    finally:
        with _kept.lock:
            _kept.wanted -= 0 if for_good and _kept.wanted == 1 else 1
            if not _kept.wanted:
                _kept.key = _kept.committed = None


def committed_image(image: Image, blowup: int, threads: int) -> Committed:
    """The image's header, preprocessed columns and their commitment under one blowup."""
    with prove_extra():
        from zkvm.stark.prover.roots import columns_key, roots_with
    columns = image_columns(image)
    key = (columns_key(machine(), columns), blowup)
    with _kept.lock:
        if _kept.key == key and _kept.committed is not None:
            return _kept.committed
    committed, roots = roots_with(machine(), columns, blowup, threads)
    result = image_header(image, columns, roots), columns, committed
    with _kept.lock:
        if _kept.wanted:
            _kept.key, _kept.committed = key, result
    return result
