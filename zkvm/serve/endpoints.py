"""What the service answers to each request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from zkvm.errors import UsageError
from zkvm.serve.bodies import Gate, Query, read_body
from zkvm.serve.images import Images, KnownImage
from zkvm.serve.metrics import Metrics
from zkvm.serve.openapi import BYTES, EVENTS, JSON, PROVE, TEXT, VERIFY, Operation, description
from zkvm.serve.proofs import Proofs
from zkvm.serve.refusals import Refusal, bad_request, busy, described
from zkvm.serve.settings import SLOTS, Settings
from zkvm.serve.work import verify_work
from zkvm.session.bound import BY_PROGRAM, check_padding
from zkvm.session.pieces import version
from zkvm.session.queue import JobLimits, Queue
from zkvm.stark.protocol.params import BEST, DEFAULT_DEMAND, DEFAULT_SECURITY, DEFAULT_SEGMENTS, Policy, parameters
from zkvm.verifier.receipt import parse_image_id

UPLOAD = (400, 403, 408, 413, 415, 503)
BEAT_SECONDS = 15.0
"""Between two signs of life of a stream in which nothing happens, so that proxies keep it."""
STREAMS = 200
"""Streams of events at a time."""


class Service:
    """Everything that a running service has, and its answers."""

    def __init__(self, settings: Settings) -> None:
        """Read the images and go on with the jobs; :meth:`close` stops it.

        Raises:
            UsageError: a folder cannot be used.
            ElfError: an image is none.
        """
        self.settings, self.metrics = settings, Metrics()
        self.images = Images(settings.images)
        self._stopping = threading.Event()
        self._listeners: dict[asyncio.Event, tuple[asyncio.AbstractEventLoop, str]] = {}
        self._listening = threading.Lock()
        self._proofs = Proofs(settings, self.images, self._changed)
        places = SLOTS * settings.concurrency
        self._verifying = Gate(places, settings.max_queue, settings.body_seconds)
        self._uploading = Gate(SLOTS, settings.max_queue, settings.body_seconds)
        self._queue = Queue(settings.concurrency)
        self._threads = ThreadPoolExecutor(places, "verify")
        self.metrics.watch("zkvm_verifications", self._in_hand)
        self.metrics.watch("zkvm_proofs", self._proofs.counts)

    def _in_hand(self) -> dict[str, int]:
        return {"running": self._verifying.inside, "waiting": self._verifying.waiting}

    def stop(self) -> None:
        """Begin to end: streams of events end, so that their connections do."""
        self._stopping.set()
        self._wake(None)

    def close(self) -> None:
        """End: what is verified is given up, and jobs wait for the next service."""
        self.stop()
        self._queue.close()
        self._threads.shutdown()
        self._proofs.close()

    def operations(self) -> list[Operation]:
        """Everything that can be asked for."""
        job, verify = "/v1/proofs/{job}", "/v1/verify"
        return [
            Operation("POST", verify, self.verify, "Verify a receipt", {200: "Verdict"}, VERIFY, "the receipt", (*UPLOAD, 422)),
            Operation("GET", "/v1/images", self.list_images, "Programs that can be proven", {200: "Images"}),
            Operation("POST", "/v1/proofs", self.prove, "Prove a run", {202: "Job"}, PROVE, "the guest's input", (*UPLOAD, 404, 507)),
            Operation("GET", job, self.job, "How a job stands", {200: "Job"}, refusals=(404,)),
            Operation("DELETE", job, self.cancel, "Cancel a job, or delete one that has ended", {200: "Job"}, refusals=(403, 404)),
            Operation("GET", f"{job}/receipt", self.receipt, "The receipt of a job that is done", {200: BYTES}, refusals=(404, 409)),
            Operation("GET", f"{job}/events", self.events, "How a job goes on, as it does", {200: EVENTS}, refusals=(404, 503)),
            Operation("GET", "/health", self.health, "Whether the service works", {200: "Health"}, refusals=(503,)),
            Operation("GET", "/metrics", self.read_metrics, "Counters, for Prometheus", {200: TEXT}),
            Operation("GET", "/openapi.json", self.describe, "This description", {200: JSON}),
        ]

    async def verify(self, request: Request) -> Response:
        """Accept or reject the receipt that is sent."""
        query = Query(request, tuple(VERIFY))
        image_id, policy, exit_code = self._named(query), _policy(query), query.number("exit_code", 0)
        own = self.settings
        async with self._verifying:
            data = await read_body(request, own.max_upload, own.body_seconds)
            self.metrics.uploaded.inc(len(data))
            limits = JobLimits(own.max_seconds, own.max_memory)
            try:
                job = self._queue.submit(verify_work, data, image_id, policy, exit_code, name="verification", limits=limits)
                del data
                answer = await asyncio.get_running_loop().run_in_executor(self._threads, job.result)
            except Exception as error:
                told = described(error)
                if told["code"] == "limit":
                    raise Refusal(422, "limit", told["message"]) from error
                if self._stopping.is_set():
                    raise busy("the service ends") from error
                raise
        self.metrics.verdicts.labels("accepted" if answer["accepted"] else answer["reason"]).inc()
        return JSONResponse(answer)

    def _named(self, query: Query) -> str:
        """The image ID that a receipt is verified for."""
        given, name = query.optional("image_id"), query.optional("image")
        if (given is None) == (name is None):
            raise bad_request("say which program the receipt must be for: image_id, or image for one that the service knows")
        if name is not None:
            return self._known(name, 400).image_id
        try:
            return parse_image_id(given or "").hex()
        except UsageError as error:
            raise bad_request(str(error)) from error

    def _known(self, name: str, status: int) -> KnownImage:
        image = self.images.find(name)
        if image is None:
            raise Refusal(status, "unknown_image", "the service knows no such image: GET /v1/images lists them")
        return image

    async def list_images(self, request: Request) -> Response:
        """Programs by name."""
        return JSONResponse({"images": [image.view() for image in self.images.all]})

    async def prove(self, request: Request) -> Response:
        """Put a run into the queue."""
        query = Query(request, tuple(PROVE))
        image, own = self._known(query.text("image"), 404), self.settings
        options = _options(query, image.program.model)
        async with self._uploading:
            data = await read_body(request, own.max_upload, own.body_seconds)
            self.metrics.uploaded.inc(len(data))
            view = await asyncio.to_thread(self._proofs.create, image, data, options)
        return JSONResponse(view, 202, {"Location": f"/v1/proofs/{view['id']}"})

    async def job(self, request: Request) -> Response:
        """How a job stands."""
        return JSONResponse(self._proofs.view(request.path_params["job"]))

    async def cancel(self, request: Request) -> Response:
        """Stop or delete a job."""
        return JSONResponse(await asyncio.to_thread(self._proofs.cancel, request.path_params["job"]))

    async def receipt(self, request: Request) -> Response:
        """The receipt's bytes."""
        path = self._proofs.receipt(request.path_params["job"])
        return FileResponse(path, media_type=BYTES, filename=f"{request.path_params['job']}.receipt")

    async def events(self, request: Request) -> Response:
        """Each change of a job as an event; the last one is named ``end``."""
        job = request.path_params["job"]
        self._proofs.view(job)
        with self._listening:
            if len(self._listeners) >= STREAMS:
                raise busy(f"{STREAMS} streams of events are open: try again later, or ask for the job itself")
        return StreamingResponse(self._stream(job), media_type=EVENTS, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def _stream(self, job: str) -> AsyncIterator[str]:
        news, last = asyncio.Event(), None
        with self._listening:
            self._listeners[news] = (asyncio.get_running_loop(), job)
        try:
            while not self._stopping.is_set():
                news.clear()
                try:
                    view = self._proofs.view(job)
                except Refusal as gone:
                    yield _event("end", {"error": {"code": gone.code, "message": gone.message}})
                    return
                over = view["state"] not in ("waiting", "running")
                if view != last:
                    yield _event("end" if over else "progress", view)
                    last = view
                if over:
                    return
                try:
                    async with asyncio.timeout(BEAT_SECONDS):
                        await news.wait()
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            with self._listening:
                self._listeners.pop(news, None)

    def _changed(self, job: str) -> None:
        self._wake(job)

    def _wake(self, job: str | None) -> None:
        """Tell the streams of a job, or all, that something happened; from any thread."""
        with self._listening:
            for news, (loop, wanted) in self._listeners.items():
                if job in (None, wanted):
                    with contextlib.suppress(RuntimeError):  # the loop was closed
                        loop.call_soon_threadsafe(news.set)

    async def health(self, request: Request) -> Response:
        """Whether the service works, or ends."""
        if self._stopping.is_set():
            raise busy("the service ends")
        return JSONResponse({"status": "ok", "version": version()})

    async def read_metrics(self, request: Request) -> Response:
        """Counters."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def describe(self, request: Request) -> Response:
        """The description of the interface."""
        return JSONResponse(description(self.operations()))


def _event(name: str, view: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(view)}\n\n"


def _policy(query: Query) -> Policy:
    try:
        return Policy(
            query.number("min_security", DEFAULT_DEMAND),
            query.switch("allow_dev", False),
            query.text("regime", BEST),
            query.number("max_segments", DEFAULT_SEGMENTS),
        )
    except UsageError as error:
        raise bad_request(str(error)) from error


def _options(query: Query, model: bool) -> dict[str, Any]:
    """Options of :func:`zkvm.prove` that a request names, all of them looked at."""
    padding = query.text("pad_to", BY_PROGRAM if model else "0")
    pad_to: int | str = int(padding) if padding.isascii() and padding.isdecimal() and len(padding) < 10 else padding
    options: dict[str, Any] = {"params": query.text("params", "balanced"), "security": query.number("security", DEFAULT_SECURITY)}
    options |= {"zk": query.switch("zk", True), "dev": query.switch("dev", False), "pad_to": pad_to}
    options["segment_cycles"] = "auto"
    if query.optional("max_cycles") is not None:
        options["max_cycles"] = query.number("max_cycles", 0)
        if options["max_cycles"] < 1:
            raise bad_request("max_cycles: at least 1 is needed")
    try:
        parameters(options["params"], options["security"])
        check_padding(pad_to)
    except UsageError as error:
        raise bad_request(str(error)) from error
    return options
