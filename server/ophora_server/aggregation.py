"""Verify each site's update, add it up, divide: the mean with equal weights.

Equal weights, since a weight by number of clips would tell that number. The sum streams: one update
is held at a time beside the running sum, which is kept in float64 so that the order in which sites
answer doesn't show in the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophora_model.errors import AdapterMismatch
from ophora_model.update import Shapes, Tensors, Update
from ophora_server.errors import UpdateRejected

_MADE_BY_VERIFY = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedUpdate:
    """An update with the announced names and shapes, finite, within the norm bound.

    Only `verify_update` makes it, and `RunningMean` takes nothing else.
    """

    update: Update
    l2_norm: float
    made_by: object

    def __post_init__(self) -> None:
        if self.made_by is not _MADE_BY_VERIFY:
            raise TypeError("a VerifiedUpdate is made by verify_update() only")


def verify_update(tensors: Tensors, *, shapes: Shapes, max_norm: float) -> VerifiedUpdate:
    """Raises UpdateRejected, whose message names no site, on anything that must not be averaged."""
    update = Update(tensors=tensors)
    try:
        update.check(shapes)
    except AdapterMismatch as error:
        raise UpdateRejected(str(error)) from error
    norm = update.l2_norm()
    if not norm <= max_norm:
        raise UpdateRejected(f"update norm={norm:.4g}: must be <= {max_norm:g}; it was discarded")
    return VerifiedUpdate(update=update, l2_norm=norm, made_by=_MADE_BY_VERIFY)


class RunningMean:
    """The mean of the updates added so far."""

    def __init__(self, shapes: Shapes) -> None:
        self._sums: dict[str, NDArray[np.float64]] = {
            name: np.zeros(shape, np.float64) for name, shape in shapes.items()
        }
        self.num_updates = 0

    def add(self, verified: VerifiedUpdate) -> None:
        """Add one site's update."""
        if not isinstance(verified, VerifiedUpdate):
            raise TypeError(f"{type(verified).__name__}: verify it first with verify_update()")
        for name, total in self._sums.items():
            total += verified.update.tensors[name]
        self.num_updates += 1

    def mean(self) -> Update:
        """The mean as float32. Raises UpdateRejected when nothing was added."""
        if self.num_updates == 0:
            raise UpdateRejected("no update to average: wait for a site")
        means = {
            name: (total / self.num_updates).astype(np.float32)
            for name, total in self._sums.items()
        }
        return Update(tensors=means)
