"""The jobs of a service: which wait, run and have ended. They outlive the service, and are gone on with by the next one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zkvm.errors import LimitError
from zkvm.serve.images import Images, KnownImage
from zkvm.serve.records import Folder, Record, new_id
from zkvm.serve.refusals import INTERNAL, Refusal, busy, described
from zkvm.serve.settings import Settings
from zkvm.serve.work import prove_work
from zkvm.session.queue import Job, JobLimits, Queue, State
from zkvm.session.resources import thread_count

LOG = logging.getLogger("zkvm.serve")
BEGUN_MOST = 3
"""How often a job is begun that brings the service down."""


class Proofs:
    """All jobs. Its methods may be called from any thread."""

    def __init__(self, settings: Settings, images: Images, changed: Callable[[str], object]) -> None:
        """Go on with what the folder holds.

        Args:
            settings: of the service.
            images: that can be proven.
            changed: called from any thread with a job's ID when something happened to it. It must not raise.

        Raises:
            UsageError: the folder cannot be used.
        """
        self._settings, self._images, self._told = settings, images, changed
        self._folder = Folder(settings.state)
        self._records: dict[str, Record] = {}
        self._jobs: dict[str, Job] = {}
        self._lock = threading.RLock()
        self._closing = False
        self._queue = Queue(settings.jobs, changed=self._changed)
        for record in sorted(self._folder.recall(), key=lambda own: own.created):
            self._records[record.id] = record
            if not record.over:
                self._again(record)
        self._forget()

    def close(self) -> None:
        """Stop everything: jobs that have not ended wait for the next service."""
        with self._lock:
            self._closing = True
        self._queue.close()
        self._folder.close()

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        with self._lock:
            states = [record.state for record in self._records.values()]
        return {state.value: states.count(state) for state in State}

    def create(self, image: KnownImage, data: bytes, options: dict[str, Any]) -> dict[str, Any]:
        """A new job, as its view.

        Raises:
            Refusal: too many wait, or there is no place on the disk.
        """
        record = Record(new_id(), image.name, image.image_id, options, time.time())
        with self._lock:
            if self._closing or self.counts()[State.WAITING.value] >= self._settings.max_queue:
                raise busy("too many proofs wait already: try again later")
            self._records[record.id] = record
        try:
            self._folder.add(record, data)
        except OSError as error:
            with self._lock:
                del self._records[record.id]
            LOG.error("a job cannot be kept: %s", error)
            raise Refusal(507, "no_space", "the job cannot be written to the service's disk") from error
        with self._lock:
            if not self._closing:
                self._submit(record, image)
            return self._view(record)

    def view(self, job: str) -> dict[str, Any]:
        """What there is to say of a job.

        Raises:
            Refusal: there is none.
        """
        with self._lock:
            return self._view(self._get(job))

    def receipt(self, job: str) -> Path:
        """The file of a job's receipt.

        Raises:
            Refusal: there is no such job, or no receipt.
        """
        with self._lock:
            record = self._get(job)
            if record.state != State.DONE:
                raise Refusal(409, "no_receipt", f"the job is {record.state}: only one that is done has a receipt")
            return self._folder.receipt(record)

    def cancel(self, job: str) -> dict[str, Any]:
        """Stop a job; one that has ended is deleted with its receipt. Returns its last view.

        Raises:
            Refusal: there is no such job.
        """
        with self._lock:
            record = self._get(job)
            if record.over:
                del self._records[job]
                self._folder.drop(record)
                return self._view(record) | {"deleted": True}
            running = self._jobs.get(job)
        if running is not None:
            running.cancel()
        with self._lock:
            if not record.over:  # its process was killed, and will be found dead
                self._end(record, State.CANCELLED, {"code": "cancelled", "message": "cancelled by request"})
            return self._view(record)

    def _get(self, job: str) -> Record:
        record = self._records.get(job)
        if record is None:
            raise Refusal(404, "not_found", "no such job: it was deleted, or never was")
        return record

    def _view(self, record: Record) -> dict[str, Any]:
        job = self._jobs.get(record.id)
        shown: dict[str, Any] = {"id": record.id, "state": record.state.value, "image": record.image, "image_id": record.image_id}
        shown |= {"options": record.options, "created": record.created, "started": record.started, "ended": record.ended}
        shown |= {"phase": job.phase if job else "", "share": 1.0 if record.state == State.DONE else job.share if job else 0.0}
        return shown | {"error": record.error} | record.result

    def _again(self, record: Record) -> None:
        """Take up a job of an earlier service."""
        image = self._images.find(record.image_id)
        record.state = State.WAITING
        if image is None:
            self._end(record, State.FAILED, {"code": "bad_image", "message": f"the service no longer has image {record.image}"})
        elif record.begun >= BEGUN_MOST:
            message = f"the service ended {record.begun} times while it ran: it may take too much memory"
            self._end(record, State.FAILED, {"code": "worker", "message": message})
        else:
            self._submit(record, image)

    def _submit(self, record: Record, image: KnownImage) -> None:
        own = self._settings
        limits = JobLimits(own.max_seconds, own.max_memory)
        options = record.options | {"max_memory": own.max_memory, "threads": max(1, thread_count(None) // own.jobs)}
        with self._lock:
            job = self._queue.submit(prove_work, self._folder.of(record), image.program, options, name=record.id, limits=limits)
            if not record.over:
                self._jobs[record.id] = job

    def _changed(self, job: Job) -> None:
        with self._lock:
            record = self._records.get(job.name)
            if record is None or record.over:
                return
            if job.ended and self._closing and job.state == State.CANCELLED:
                record.state, record.begun = State.WAITING, 0
                self._save(record)
            elif job.ended:
                self._take(record, job)
            elif job.state == State.RUNNING and record.state == State.WAITING:
                record.state, record.started, record.begun = State.RUNNING, time.time(), record.begun + 1
                self._save(record)
        self._told(job.name)

    def _take(self, record: Record, job: Job) -> None:
        if job.error is None:
            record.result = job.result(0) | {"seconds": round(job.seconds, 3), "peak_memory_bytes": job.peak_memory_bytes}
            self._end(record, State.DONE, None)
            return
        error = described(job.error)
        if error["code"] == INTERNAL:
            LOG.error("a proof of %s failed: %s: %s", record.image, type(job.error).__name__, job.error)
        if isinstance(job.error, LimitError):
            error["message"] = error["message"].removeprefix(f"{job.name}: ")
        self._end(record, job.state, error)

    def _end(self, record: Record, state: State, error: dict[str, str] | None) -> None:
        record.state, record.ended, record.error = state, time.time(), error
        self._jobs.pop(record.id, None)
        self._save(record)
        self._forget()
        self._told(record.id)

    def _save(self, record: Record) -> None:
        try:
            self._folder.save(record)
        except OSError as error:
            LOG.error("how a job stands cannot be kept: %s", error)

    def _forget(self) -> None:
        """Delete the jobs that ended first, beyond those that are kept."""
        over = sorted((record for record in self._records.values() if record.over), key=lambda own: own.ended or 0.0)
        for record in over[: -self._settings.max_kept]:
            del self._records[record.id]
            self._folder.drop(record)
