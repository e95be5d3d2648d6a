"""Verify each site's update, then the mean with equal weights, or one that outliers can't move.

Equal weights, since a weight by number of clips would tell that number. The mean streams: one
update is held at a time beside the running sum, which is kept in float64 so that the order in which
sites answer doesn't show in the result. The trimmed mean holds all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ophora_model.errors import AdapterMismatch
from ophora_model.strict import check_choice, check_keys, check_number
from ophora_model.update import Shapes, Tensors, Update
from ophora_server.errors import UpdateRejected

_MADE_BY_VERIFY = object()


RULES = ("mean", "trimmed-mean")


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationSettings:
    """`[aggregation]`: what is made of the updates of a round.

    "trimmed-mean" (Yin et al. 2018) leaves out the largest and the smallest `trim_share` of the
    updates, rounded up, in each coordinate: a share of hostile sites below it can't move a
    coordinate past what honest ones ask for. It sees updates one by one, and takes the memory of
    all of them.
    """

    rule: str = "mean"
    trim_share: float = 0.2

    def __post_init__(self) -> None:
        check_choice("aggregation.rule", self.rule, RULES)
        check_number("aggregation.trim_share", self.trim_share, low=0, high=0.49)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Strict; what is left out has its default."""
        filled = {**asdict(cls()), **given} if isinstance(given, Mapping) else given
        check_keys("aggregation", filled, tuple(field.name for field in fields(cls)))
        return cls(**given)


class Aggregate(Protocol):
    """What takes the updates of one round."""

    @property
    def num_updates(self) -> int:
        """How many were taken."""
        ...

    def add(self, verified: VerifiedUpdate) -> None:
        """Take one site's update."""
        ...

    def mean(self) -> Update:
        """What they come to. Raises UpdateRejected where there are too few."""
        ...


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


class TrimmedMean:
    """The mean without the extremes of each coordinate."""

    def __init__(self, shapes: Shapes, trim_share: float) -> None:
        self._shapes, self._trim_share = shapes, trim_share
        self._updates: list[Tensors] = []

    @property
    def num_updates(self) -> int:
        """How many were added."""
        return len(self._updates)

    def add(self, verified: VerifiedUpdate) -> None:
        """Add one site's update."""
        if not isinstance(verified, VerifiedUpdate):
            raise TypeError(f"{type(verified).__name__}: verify it first with verify_update()")
        self._updates.append(verified.update.tensors)

    def mean(self) -> Update:
        """As float32, one tensor at a time. Raises UpdateRejected where trimming leaves none."""
        trimmed = math.ceil(self._trim_share * self.num_updates)
        left = self.num_updates - 2 * trimmed
        if left < 1:
            raise UpdateRejected(
                f"{self.num_updates} updates: too few for trim_share={self._trim_share:g};"
                " wait for more sites or trim less"
            )
        means = {}
        for name in self._shapes:
            ordered = np.sort(np.stack([update[name] for update in self._updates]), axis=0)
            kept = ordered[trimmed : trimmed + left].astype(np.float64)
            means[name] = kept.mean(axis=0).astype(np.float32)
        return Update(tensors=means)


def aggregate_of(settings: AggregationSettings, shapes: Shapes) -> Aggregate:
    """An empty one."""
    if settings.rule == "trimmed-mean":
        return TrimmedMean(shapes, settings.trim_share)
    return RunningMean(shapes)
