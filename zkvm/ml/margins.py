"""How likely labels differ on inputs that nobody tried, from how closely the float model decides and by how much the scores are off.

A label turns over where the float model's best score leads by less than the error of that lead. Where leads near zero have density f and
an error of either sign the mean size e, a row differs with probability f e / 2. The density is that of the smallest leads seen.

Inputs far from all samples have larger scores, and leads, than those that a model is for. So both kinds are also looked at by
themselves, and what is more likely counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zkvm.ml.labels import NOISE

Array = NDArray[Any]
SMALLEST = 0.1
"""The part of all leads that counts as small."""


@dataclass
class Margins:
    """Leads of the float model's best scores over the second best, and by how much the integer model's differ, by input; and which inputs
    are samples, or near one."""

    leads: list[Array] = field(default_factory=list)
    errors: list[Array] = field(default_factory=list)
    near: list[bool] = field(default_factory=list)

    def add(self, result: Array, real: Array, near: bool = True) -> None:
        """One more input.

        Args:
            result: scores of the integer model; rows are the last axis.
            real: of the float model.
            near: whether it is a sample, or near one.
        """
        rows = real.reshape(-1, real.shape[-1]).astype(np.float64)
        ours = result.reshape(rows.shape).astype(np.float64)
        usual = np.isfinite(rows).all(axis=1) & np.isfinite(ours).all(axis=1)
        rows, ours = rows[usual], ours[usual]
        second, best = np.argsort(rows, axis=1)[:, -2:].T
        number = np.arange(len(rows))
        leads = rows[number, best] - rows[number, second]
        decided = leads > NOISE * np.abs(rows).max(axis=1, initial=0.0)  # the others are ties, which count nowhere
        self.near.append(near)
        self.leads.append(leads[decided])
        self.errors.append(np.abs(ours[number, best] - ours[number, second] - leads)[decided])

    def expected(self) -> float:
        """Labels that differ in an input, on average, of the kind of inputs of which most do."""
        groups = [[number for number, near in enumerate(self.near) if near in kinds] for kinds in ((True,), (False,), (True, False))]
        return max(self._expected(group) for group in groups)

    def _expected(self, group: list[int]) -> float:
        leads, errors = (np.concatenate([*(arrays[number] for number in group), np.zeros(0)]) for arrays in (self.leads, self.errors))
        if not len(leads):
            return 0.0
        count = max(1, int(SMALLEST * len(leads)))
        density = count / len(leads) / float(np.partition(leads, count - 1)[count - 1])
        return float(len(leads) / len(group) * density * errors.mean() / 2)
