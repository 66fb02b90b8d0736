"""What a service counts, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        """All are 0."""
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        own = self._registry
        self.requests = Counter("zkvm_requests", "Requests that were answered.", ("method", "route", "status"), registry=own)
        self.seconds = Histogram("zkvm_request_seconds", "From a request to its answer.", ("route",), registry=own, buckets=SECONDS)
        self.verdicts = Counter("zkvm_verdicts", "Receipts: accepted, or the reason why not.", ("verdict",), registry=own)
        self.uploaded = Counter("zkvm_uploaded_bytes", "Bytes of receipts and inputs.", registry=own)
        self._gauges = {
            "zkvm_verifications": Gauge("zkvm_verifications", "Verifications in hand.", ("state",), registry=own),
            "zkvm_proofs": Gauge("zkvm_proofs", "Proofs by state.", ("state",), registry=own),
        }

    def watch(self, name: str, counts: Callable[[], Mapping[str, int]]) -> None:
        """Ask for numbers by state whenever metrics are read.

        Args:
            name: of the gauge.
            counts: gives them.
        """
        for state in counts():
            self._gauges[name].labels(state).set_function(partial(_count, counts, state))

    def text(self) -> bytes:
        """All of them."""
        return bytes(generate_latest(self._registry))


def _count(counts: Callable[[], Mapping[str, int]], state: str) -> float:
    return counts()[state]
