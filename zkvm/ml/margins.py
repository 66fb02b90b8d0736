"""How likely labels differ on inputs that nobody tried, from how closely the float model decides and by how much the scores are off.

A label turns over where the float model's best score leads by less than the error of that lead. Where leads near zero have density f and
an error of either sign the mean size e, a row differs with probability f e / 2. The density is that of the smallest leads seen.

Samples are what a model is for: if there are many, they alone count. Drawn inputs are not: those far from all samples have larger scores,
and leads; those between may have smaller ones. So with few samples each kind is also looked at by itself, and what is more likely counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.labels import NOISE

Array = NDArray[Any]
SMALLEST = 0.1
"""The part of all leads that counts as small."""


MANY = 100
"""So many samples say how closely a model decides."""


class Source(Enum):
    """Where an input comes from."""

    SAMPLE = "a sample"
    NEAR = "a sample, changed"
    DRAWN = "the domain"


@dataclass
class Margins:
    """Leads of the float model's best scores over the second best, and by how much the integer model's differ, by input."""

    leads: list[Array] = field(default_factory=list)
    errors: list[Array] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)

    def add(self, result: Array, real: Array, source: Source = Source.SAMPLE) -> None:
        """One more input.

        Args:
            result: scores of the integer model; rows are the last axis.
            real: of the float model.
            source: where the input comes from.
        """
        rows = real.reshape(-1, real.shape[-1]).astype(np.float64)
        ours = result.reshape(rows.shape).astype(np.float64)
        usual = np.isfinite(rows).all(axis=1) & np.isfinite(ours).all(axis=1)
        rows, ours = rows[usual], ours[usual]
        second, best = np.argsort(rows, axis=1)[:, -2:].T
        number = np.arange(len(rows))
        leads = rows[number, best] - rows[number, second]
        decided = leads > NOISE * np.abs(rows).max(axis=1, initial=0.0)  # the others are ties, which count nowhere
        self.sources.append(source)
        self.leads.append(leads[decided])
        self.errors.append(np.abs(ours[number, best] - ours[number, second] - leads)[decided])

    def expected(self) -> float:
        """Labels that differ in an input, on average, of the kind of inputs of which most do."""
        samples = self._from(Source.SAMPLE)
        if len(samples) >= MANY:
            return self._expected(samples)
        near, drawn = self._from(Source.SAMPLE, Source.NEAR), self._from(Source.DRAWN)
        return max(self._expected(group) for group in (near, drawn, near + drawn))

    def _from(self, *sources: Source) -> list[int]:
        return [number for number, source in enumerate(self.sources) if source in sources]

    def _expected(self, group: list[int]) -> float:
        leads, errors = (np.concatenate([*(arrays[number] for number in group), np.zeros(0)]) for arrays in (self.leads, self.errors))
        if not len(leads):
            return 0.0
        count = max(1, int(SMALLEST * len(leads)))
        density = count / len(leads) / float(np.partition(leads, count - 1)[count - 1])
        return float(len(leads) / len(group) * density * errors.mean() / 2)
