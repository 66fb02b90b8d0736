"""A compiled model on disk: guest, metadata, and what turns real inputs into bytes and a journal into real outputs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zkvm.errors import GuestError, InputError, UsageError
from zkvm.files import write_folder
from zkvm.ml.interface import FLAG, FORMAT, METADATA, REFUSE, SATURATED_EXIT, ModelInterface, Output
from zkvm.ml.layout import LANES
from zkvm.ml.samples import Data, Sample, fitted, one_sample, place_of
from zkvm.ml.tensor import Tensor, tensor_json
from zkvm.poseidon2 import tensor_digest
from zkvm.stark.crypto.hashes import blake3

if TYPE_CHECKING:
    from zkvm.many import Proven
    from zkvm.session.profiling import FunctionCost
    from zkvm.session.run import Session
    from zkvm.verifier.receipt import Receipt

GUEST, WEIGHTS, SOURCE, OWNERS_CARD = "model.elf", "weights.bin", "model.c", "card.private.json"
SALT_BYTES = 32
ROW_LANES = 56, 24
"""Private numbers in a row of a digest: bytes, and int16."""
DigestOf = Callable[..., NDArray[np.int16]]
"""The digest of vectors, of which so many rows are bytes."""
SATURATION_ADVICE = "Compile with data or a --domain that hold inputs like this one, with --arithmetic float, or with --saturate"
PUBLIC_CARD = ("operators", "parameters", "macs", "activation_bits", "weight_bits", "activation_words", "constant_words", "layers")
"""Entries of a private model's card that everybody may read, because they follow from the architecture."""
PUBLIC_LAYER = ("name", "kind", "output_shape", "macs")
SHOWN_OF_PRIVATE = (
    "operators, names, shapes, integer constants, sizes of trees, scales of inputs, and in journals with all outputs their scales"
)
"""What private weights do not hide: in one line what docs/ml.md lists."""


@dataclass(frozen=True, slots=True)
class GuestRun:
    """One run of the guest.

    Attributes:
        journal: what it committed.
        cycles: that it took.
        cells: that a proof commits, and those of them that instructions and calls are charged.
        functions: the same by function.
        proof_seconds: what a proof is predicted to take; None: the run is too long for one.
        proof_bytes: of memory, likewise.
    """

    journal: bytes
    cycles: int
    cells: tuple[int, int]
    functions: dict[str, FunctionCost]
    proof_seconds: float | None
    proof_bytes: int | None


Execute = Callable[[bytes, bytes], GuestRun]
"""Runs an ELF on a private input."""


@dataclass(frozen=True)
class CompiledModel(ModelInterface):
    """A compiled model: it runs, proves, and reads its journals. The card is the owner's, with what it says of private weights.

    Inputs are an array, a dictionary of arrays by name, or a list of arrays in order, of one sample.

    Attributes:
        elf: the guest.
        private_weights: what a private model reads before its input: a salt, made once so that all its receipts show one digest, the
            private words, and the private vectors; else empty.
        source: the guest's C code, of a model that was compiled and not loaded.
    """

    elf: bytes
    private_weights: bytes
    source: str = ""

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the guest, its source, metadata, and what only the owner of private weights may read: all that ``zkvm run`` needs.

        Args:
            directory: is made if it is not there.

        Raises:
            OSError: it cannot be written.
        """
        metadata = {
            "format": FORMAT,
            "inputs": [tensor_json(tensor) for tensor in self.inputs],
            "outputs": [tensor_json(tensor) for tensor in self.outputs],
            "weights": self.weights,
            "input_mode": self.input_mode,
            "output_mode": self.output_mode,
            "saturation": self.saturation,
            "weights_digest": self.weights_digest,
            **({"private_rows": list(self.private_rows)} if any(self.private_rows) else {}),
            "card": self._public_card(),
        }
        secret = {WEIGHTS: self.private_weights, OWNERS_CARD: _json_bytes(self.card)} if self.weights == "private" else {}
        source = {SOURCE: self.source.encode()} if self.source else {}
        public = {GUEST: self.elf, **source, METADATA: _json_bytes(metadata)}
        write_folder(directory, secret | public, owner_only=secret)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> CompiledModel:
        """Read a compiled model.

        Args:
            path: of the directory.

        Raises:
            UsageError: not a directory that :meth:`save` wrote.
        """
        directory = Path(path)
        public = ModelInterface.read(directory)
        try:
            private, known = b"", vars(public)
            if public.weights == "private":
                private = (directory / WEIGHTS).read_bytes()
                _demand_weights(directory, private, public)
                if (directory / OWNERS_CARD).exists():
                    known = known | {"card": dict(json.loads((directory / OWNERS_CARD).read_text()))}
            return CompiledModel(**known, elf=(directory / GUEST).read_bytes(), private_weights=private)
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"{directory}: not a compiled model: {error}") from error

    def interface(self) -> ModelInterface:
        """A verifier's part: what of this is public, as :meth:`save` writes it to ``model.json``."""
        public = {entry.name: getattr(self, entry.name) for entry in fields(ModelInterface)}
        return ModelInterface(**public | {"card": self._public_card()})

    def _public_card(self) -> dict[str, Any]:
        return public_card(self.card) if self.weights == "private" else self.card

    def fresh_salts(self) -> dict[str, bytes]:
        """A salt for every digest of this model but that of the weights; who knows it can show later what was hashed."""
        committed = {"input": self.input_mode == "digest", "output": self.output_mode == "digest"}
        return {name: os.urandom(SALT_BYTES) for name, on in committed.items() if on}

    def stdin(self, integers: Sequence[NDArray[np.int64]], salts: Mapping[str, bytes] | None = None) -> bytes:
        """The private input of the guest; with fresh salts if none are given."""
        chosen = self.fresh_salts() if salts is None else salts
        pairs = zip(self.inputs, integers, strict=True)
        if self.input_mode == "digest":
            digest_of = _digest_by_kernels()
            words = [tensor.committed(array, digest_of)[0] for tensor, array in pairs]
        else:
            words = [tensor.encoded(array) for tensor, array in pairs]
        return b"".join([self.private_weights, chosen.get("input", b""), *words, chosen.get("output", b"")])

    def quantize(self, arrays: Sequence[NDArray[Any]]) -> tuple[list[NDArray[np.int64]], int]:
        """The words of all inputs, and the number of elements that were cut to the bounds.

        Raises:
            InputError: another number of arrays, another shape or type, or a NaN.
        """
        if len(arrays) != len(self.inputs):
            raise InputError(f"{len(arrays)} arrays for {len(self.inputs)} inputs")
        results, saturated = [], 0
        for tensor, array in zip(self.inputs, arrays, strict=True):
            integers, outside = tensor.quantize(fitted(array, tensor))
            results.append(integers)
            saturated += outside
        return results, saturated

    def words(self, sample: Sample) -> tuple[list[NDArray[np.int64]], int]:
        """The words of one sample, and the number of elements that were cut: 0, unless the model was compiled to go on.

        Args:
            sample: an array by the name of each input.

        Raises:
            InputError: a number is outside what the model was compiled for, or does not fit it at all.
        """
        integers, saturated = self.quantize([sample[tensor.name] for tensor in self.inputs])
        if saturated and self.saturation == REFUSE:
            raise InputError("; ".join(filter(None, (_outside(tensor, fitted(sample[tensor.name], tensor)) for tensor in self.inputs))))
        return integers, saturated

    def execute(self, inputs: Data, *, salts: Mapping[str, bytes] | None = None, profile: bool = False) -> Session:
        """Run the guest without proving.

        Args:
            inputs: one sample.
            salts: of :meth:`fresh_salts`, if the digests of the journal are to be opened later.
            profile: also count cycles by function.

        Returns:
            What the guest did: journal, cycles, exit code.

        Raises:
            InputError: the inputs do not fit the model.
            UsageError: the ``prove`` extra is missing.
        """
        from zkvm import api

        return api.execute(self.elf, self._stdin(inputs, salts), profile=profile)

    def run(self, inputs: Data) -> Output:
        """What the model gives: the guest runs, and its journal is read. Nothing is proven.

        Args:
            inputs: one sample.

        Raises:
            InputError: the inputs do not fit the model.
            GuestError: the guest ended with another exit code than 0: a value left its integers.
            UsageError: the ``prove`` extra is missing.
        """
        return self.decode(_finished(self.execute(inputs)).journal)

    def prove(self, inputs: Data, *, salts: Mapping[str, bytes] | None = None, **options: Any) -> Receipt:
        """Run the guest and prove the run; nothing is proven of a run that fails.

        Args:
            inputs: one sample.
            salts: of :meth:`fresh_salts`, if the digests of the journal are to be opened later.
            options: of :func:`zkvm.prove`. Tables are padded by the program unless ``pad_to`` says otherwise.

        Returns:
            The receipt: :meth:`decode` reads its journal, :meth:`verify` checks it.

        Raises:
            InputError: the inputs do not fit the model.
            GuestError: the guest ended with another exit code than 0: a value left its integers.
            LimitError: a limit was reached, or the run is too long for one proof.
            UsageError: unknown options, or the ``prove`` extra is missing.
        """
        from zkvm import api
        from zkvm.session.bound import BY_PROGRAM

        stdin = self._stdin(inputs, salts)
        _finished(api.execute(self.elf, stdin))
        return api.prove(self.elf, stdin, **{"pad_to": BY_PROGRAM} | options).receipt

    def prove_many(self, inputs: Iterable[Data], **options: Any) -> Iterator[Proven]:
        """Prove a run of the guest for each of many samples: by one process or several, as they are free.

        Args:
            inputs: samples; they are asked for one by one. Digests have salts that nobody knows afterwards.
            options: of :func:`zkvm.prove_many`. Tables are padded by the program unless ``pad_to`` says otherwise.

        Yields:
            What came of each, named by its number from 0, as it comes; of a run in which a value left its integers an InexactError.

        Raises:
            InputError: a sample does not fit the model.
            UsageError: unknown options, or the ``prove`` extra is missing.
        """
        from zkvm.many import prove_many
        from zkvm.session.bound import BY_PROGRAM

        chosen = {"pad_to": BY_PROGRAM, "refuse": self.refused_exits()} | options
        yield from prove_many(self.elf, (self._stdin(own, None) for own in inputs), **chosen)

    def refused_exits(self) -> dict[int, str]:
        """Exit codes of runs that are not proven, and what is said of them."""
        return {} if self.saturation == FLAG else {SATURATED_EXIT: SATURATION_ADVICE}

    def image_id(self) -> str:
        """The image ID of the guest, which verifiers must know: 64 hexadecimal digits."""
        from zkvm import api

        return api.compute_image_id(self.elf)

    def _stdin(self, inputs: Data, salts: Mapping[str, bytes] | None) -> bytes:
        integers, _ = self.words(one_sample(inputs, self.inputs))
        return self.stdin(integers, salts)


def _demand_weights(directory: Path, private: bytes, public: ModelInterface) -> None:
    try:
        found = weights_digest(private, public.private_rows)
    except UsageError as error:
        raise UsageError(f"{directory}: {WEIGHTS} was cut off, or {METADATA} is another model's: {error}") from error
    if found != public.weights_digest:
        raise UsageError(f"{directory}: {WEIGHTS} does not hold the weights whose digest {METADATA} publishes; verifiers refuse them")


def weights_digest(private_weights: bytes, rows: tuple[int, int]) -> str:
    """What a guest commits to: BLAKE3 of the salt, the private words, and the lanes of the digest of the private vectors, as words; 64
    hexadecimal digits.

    Args:
        private_weights: what the guest reads: salt, words, vectors.
        rows: of seven vectors of bytes and of three of int16, in this order, that the vectors fill.

    Raises:
        UsageError: they are shorter than that.
    """
    small, large = ROW_LANES[0] * rows[0], 2 * ROW_LANES[1] * rows[1]
    words, vectors = private_weights[: max(0, len(private_weights) - small - large)], private_weights[-(small + large) :]
    if not small + large:
        return blake3(private_weights).hex()
    if len(words) < SALT_BYTES:
        raise UsageError(f"private weights of {len(private_weights)} bytes do not hold a salt and {small + large} bytes of vectors")
    lanes = np.frombuffer(vectors[:small], np.int8).astype(np.int16), np.frombuffer(vectors[small:], "<i2").astype(np.int16)
    digest_of = _digest_by_kernels()
    if digest_of is None:
        digest = tensor_digest(lanes[1].tolist(), lanes[0].tolist())
    else:
        digest = digest_of(np.concatenate([lanes[0] << 8, lanes[1]]).reshape(-1, LANES), rows[0]).reshape(-1).tolist()
    return blake3(words + np.array(digest, "<i4").tobytes()).hex()


def _digest_by_kernels() -> DigestOf | None:
    """The digest of vectors; None without the ``prove`` extra."""
    try:
        from zkvm.riscv.vm.digest import digest_of
    except ModuleNotFoundError:
        return None
    return digest_of


def _finished(session: Session) -> Session:
    """A run that ended with exit code 0.

    Raises:
        GuestError: it did not.
    """
    if session.exit_code:
        said = session.stderr.decode(errors="replace").strip()
        raise GuestError(f"the compiled model ended with exit code {session.exit_code}: {said}")
    return session


def _outside(tensor: Tensor, array: NDArray[Any]) -> str:
    """What is said of an input with numbers outside its bounds; nothing of others."""
    bad = tensor.outside(array)
    if not bad.any():
        return ""
    place, scale = place_of(bad), tensor.scale if tensor.kind == "real" and tensor.scale is not None else 1
    more = f" ({int(bad.sum()) - 1} more are too)" if bad.sum() > 1 else ""
    return (
        f"input {tensor.name!r}, place {list(place)}: {array[place].item()!r} is outside what the model was compiled for, "
        f"{tensor.lo * scale:.8g} to {tensor.hi * scale:.8g}{more}: compile it with data or a --domain that reach so far, "
        "or with --saturate to cut such numbers"
    )


def profiled_run(elf: bytes, stdin: bytes) -> GuestRun:
    """One run of a guest with its cycles and cells by function, and what a proof of it is predicted to take.

    Args:
        elf: the guest.
        stdin: its private input.

    Raises:
        GuestError: it ended with another exit code than 0.
    """
    from zkvm.session.profiling import profile
    from zkvm.session.run import ExecutorEnv

    result = profile(elf, ExecutorEnv(stdin))
    functions = {entry.name: entry for entry in result.functions}
    seconds, memory = (None, None) if result.prediction is None else (result.prediction.seconds, result.prediction.memory_bytes)
    cells = (result.cells, result.charged_cells)
    return GuestRun(_finished(result.session).journal, result.session.cycles, cells, functions, seconds, memory)


def public_card(card: Mapping[str, Any]) -> dict[str, Any]:
    """What of a private model's card everybody may read."""
    known = {name: card[name] for name in PUBLIC_CARD if name in card}
    if "layers" in known:
        known["layers"] = [{name: layer[name] for name in PUBLIC_LAYER if name in layer} for layer in known["layers"]]
    return known


def _json_bytes(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
