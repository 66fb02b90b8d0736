"""Where activations live: one array of words, reused as soon as nobody reads a tensor any more."""

from __future__ import annotations

from dataclasses import dataclass

from zkvm.ml.ir import Graph, Value


@dataclass(frozen=True, slots=True)
class Plan:
    """First word of every activation, by ``id`` of the value that owns the memory, and the number of words of all."""

    offsets: dict[int, int]
    words: int


def plan_memory(graph: Graph) -> Plan:
    """First fit, in order of size: activations whose lifetimes overlap never share a word."""
    lifetimes: dict[int, tuple[Value, int, int]] = {}

    def live(value: Value, time: int) -> None:
        stored = value.storage()
        if stored.data is None and stored.layout is None:
            _, first, last = lifetimes.get(id(stored), (stored, time, time))
            lifetimes[id(stored)] = stored, min(first, time), max(last, time)

    for value in graph.inputs:
        live(value, -1)
    for time, operation in enumerate(graph.operations):
        for value in (*operation.inputs, operation.output):
            live(value, time)
    for value in graph.outputs:
        live(value, len(graph.operations))
    offsets: dict[int, int] = {}
    total = 0
    for key, (value, first, last) in sorted(lifetimes.items(), key=lambda item: -item[1][0].size):
        busy = sorted(
            (offsets[other], offsets[other] + lifetimes[other][0].size)
            for other in offsets
            if lifetimes[other][1] <= last and first <= lifetimes[other][2]
        )
        place = 0
        for start, end in busy:
            if place + value.size <= start:
                break
            place = max(place, end)
        offsets[key] = place
        total = max(total, place + value.size)
    return Plan(offsets, total)
