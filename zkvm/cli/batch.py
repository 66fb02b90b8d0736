"""``zkvm run --inputs``: one receipt for each input of a folder."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zkvm import api
from zkvm.cli import errors
from zkvm.cli.errors import DONE, REJECTED, InputFileError, reading, writing
from zkvm.cli.output import emit, line
from zkvm.cli.screen import screen
from zkvm.errors import UsageError, VerificationError, ZkvmError
from zkvm.files import read_at_most, write_folder
from zkvm.many import Proven, prove_many
from zkvm.session import memory
from zkvm.session.preparing import committed_image, kept_image
from zkvm.stark.protocol.params import parameters
from zkvm.verifier.receipt import Receipt

if TYPE_CHECKING:
    from zkvm.cli.model import ModelRun
    from zkvm.cli.screen import Screen

INPUT_SHARE = 16
"""Part of the free memory that an input may fill: several are on their way at one time."""


@dataclass(eq=False)
class Batch:
    """A folder of inputs on the way to a folder of receipts.

    Attributes:
        guest: the program, or the directory of a compiled model.
        inputs: the folder.
        out: where the receipts go.
        options: of :func:`zkvm.many.prove_many`.
        as_json: whether there are no lines.
        views: of each input what came of it, as it comes.
        known: receipts that are expected so far.
        models: of a compiled model, what each journal means.
    """

    guest: Path
    inputs: Path
    out: Path
    options: dict[str, Any]
    as_json: bool
    views: list[dict[str, Any]] = field(default_factory=list)
    known: int = 0
    models: dict[str, ModelRun] = field(default_factory=dict)

    def run(self) -> int:
        """Prove what is not proven yet; returns the exit code.

        Raises:
            UsageError: there is no folder of inputs, or the other one cannot be written.
            WorkerError: no worker is left.
        """
        files, program = self._files(), self.guest / "model.elf" if self.guest.is_dir() else self.guest
        self.known, started = len(files), time.perf_counter()
        chosen = parameters(self.options["params"], self.options["security"])
        with kept_image(), screen(not self.as_json) as view:
            image_id = committed_image(api.load_image(program), chosen.blowup, 1)[0].image_id().hex()
            for proven in prove_many(program, self._left(files, image_id, view), **self._refusing()):
                self._take(proven, view)
        failed = [own for own in self.views if "error" in own]
        if self.as_json:
            counts = {"proven": sum("cycles" in own for own in self.views), "kept": sum("kept" in own for own in self.views)}
            emit(
                {"image_id": image_id, "receipts": self.views, **counts, "failed": len(failed)}
                | {"seconds": time.perf_counter() - started, "folder": str(self.out)}
            )
        else:
            line("receipts", f"{len(self.views) - len(failed)} in {self.out}, {len(failed)} inputs failed")
            line("time", f"{time.perf_counter() - started:.2f} s")
        return REJECTED if failed or any(own.get("exit_code") for own in self.views) else DONE

    def _files(self) -> list[Path]:
        """The inputs, by name.

        Raises:
            UsageError: there are none, or the receipts have no place.
        """
        try:
            files = sorted(path for path in self.inputs.iterdir() if path.is_file() and not path.name.startswith("."))
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{error.filename}: {error.strerror}") from error
        if not files:
            raise UsageError(f"{self.inputs}: no files in it")
        return files

    def _refusing(self) -> dict[str, Any]:
        """The options, and of a compiled model the exit code of runs that are not proven."""
        if not self.guest.is_dir():
            return self.options
        from zkvm.cli.model import refused_exits

        return self.options | {"refuse": refused_exits(self.guest)}

    def _left(self, files: list[Path], image_id: str, view: Screen) -> Iterator[tuple[str, bytes]]:
        """Names and inputs of what is not proven yet."""
        for path in files:
            try:
                runs = self._runs(path)
            except ZkvmError as error:
                self._failed(path.name, error, view)
                continue
            self.known += len(runs) - 1
            for name, (stdin, model) in runs.items():
                if self._finished(self.out / f"{name}.receipt", path, image_id):
                    self.views.append({"input": name, "receipt": str(self.out / f"{name}.receipt"), "kept": True})
                    self._step(view)
                    continue
                if model is not None:
                    self.models[name] = model
                yield name, stdin

    def _runs(self, path: Path) -> Mapping[str, tuple[bytes, ModelRun | None]]:
        """The runs of a file: one, or one for each sample of a compiled model.

        Raises:
            InputFileError: it cannot be read, or does not fit the model.
        """
        if self.guest.is_dir():
            from zkvm.cli.model import all_runs

            runs = all_runs(self.guest, path)
            width = len(str(len(runs) - 1))
            names = [path.name] if len(runs) == 1 else [f"{path.name}-{number:0{width}}" for number in range(len(runs))]
            return {name: (run.stdin, run) for name, run in zip(names, runs, strict=True)}
        limit = memory.available_bytes() // INPUT_SHARE
        with reading(path):
            data = read_at_most(path, limit)
        if data is None:
            raise InputFileError(f"{path}: more than {limit} bytes, a sixteenth of the memory that is left")
        return {path.name: (data, None)}

    def _finished(self, target: Path, source: Path, image_id: str) -> bool:
        """Whether a receipt is there that is newer than its input and its program, and as is asked for now."""
        own, chosen = self.options, parameters(self.options["params"], self.options["security"])
        try:
            made = target.stat().st_mtime_ns
            changed = [max(path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in (source, *self._program_files())]
            if made <= max(changed):
                return False
            receipt = Receipt.load(target)
        except (OSError, VerificationError):
            return False
        wanted = (image_id, chosen.numbers, own["zk"] and not own["dev"], own["dev"])
        return (receipt.header.image_id().hex(), receipt.claim.parameters, receipt.zk, receipt.dev) == wanted

    def _program_files(self) -> list[Path]:
        return [path for path in self.guest.iterdir() if path.is_file()] if self.guest.is_dir() else [self.guest]

    def _take(self, proven: Proven, view: Screen) -> None:
        """Write a receipt, or say why there is none."""
        model = self.models.pop(proven.name, None)
        info, error = proven.info, proven.error
        if info is None:
            assert error is not None
            self._failed(proven.name, error, view)
            return
        target = self.out / f"{proven.name}.receipt"
        files, salts = {target.name: info.receipt.to_bytes()}, {} if model is None else model.salts
        if salts:
            files[f"{proven.name}.salts.json"] = (json.dumps({name: salt.hex() for name, salt in salts.items()}) + "\n").encode()
        with writing(target):
            write_folder(self.out, files, owner_only={f"{proven.name}.salts.json"})
        session = info.session
        own = {"input": proven.name, "receipt": str(target), "exit_code": session.exit_code, "journal": session.journal.hex()}
        own |= {"cycles": session.cycles, "seconds": proven.seconds, "worker": proven.worker, "security_bits": info.security_bits}
        own |= {"receipt_bytes": len(files[target.name]), "segments": info.receipt.segments}
        meaning = {} if model is None or session.exit_code else model.view(session.journal)
        self.views.append(own | meaning)
        if not self.as_json:
            view.erase()
            label = meaning.get("label_name") or meaning.get("label")
            said = f"label {label}, " if label is not None else ""
            line(proven.name, f"exit code {session.exit_code}, {said}{session.cycles} cycles, {proven.seconds:.2f} s, {target}")
        self._step(view)

    def _failed(self, name: str, error: BaseException, view: Screen) -> None:
        kind = type(error).__name__
        text = errors.message(error)
        self.views.append({"input": name, "error": text, "kind": kind})
        view.erase()
        print(f"zkvm: {name}: {text}", file=sys.stderr)
        self._step(view)

    def _step(self, view: Screen) -> None:
        if view.on:
            view.phase(f"{len(self.views)} of {self.known} inputs", len(self.views) / self.known)


def refuse_others(given: Mapping[str, object]) -> None:
    """Refuse options that are for one run.

    Raises:
        UsageError: one is given.
    """
    for name, value in given.items():
        if value not in (None, False):
            raise UsageError(f"{name} is for one run: not with --inputs")
