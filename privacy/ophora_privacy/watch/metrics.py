"""Metrics as values: each is named, typed and explained once, and its labels are listed fields.

A collector asks a `Metric` for the family that it hands to the Prometheus client, so that nothing
is served which is not in a table of metrics.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, TypeVar

from ophora_privacy.errors import FieldRefused
from ophora_privacy.watch.fields import FIELDS, allowed

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

Labels = tuple[str, ...]
_Some = TypeVar("_Some", bound=Labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many values were at most each bound, from the smallest bound up; all of them; their sum.

    A value that is equal to a bound is below it.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...] = ()  # of each bound alone, then of what is above all
    total: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float], bounds: tuple[float, ...]) -> Histogram:
        """Of these values."""
        counts = [0] * (len(bounds) + 1)
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        return cls(bounds=bounds, counts=tuple(counts), total=math.fsum(values))

    def with_value(self, value: float) -> Histogram:
        """With one more."""
        more = Histogram.of([value], self.bounds)
        held = self.counts or (0,) * len(more.counts)
        counts = tuple(a + b for a, b in zip(held, more.counts, strict=True))
        return Histogram(bounds=self.bounds, counts=counts, total=self.total + value)

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus has them."""
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        counts = self.counts or (0,) * len(names)
        return list(zip(names, map(float, accumulate(counts)), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. Raises FieldRefused at construction where a label is no listed field."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: Labels = ()
    bounds: tuple[float, ...] = field(default=())  # of a histogram

    def __post_init__(self) -> None:
        for label in self.labels:
            if label not in FIELDS:
                raise FieldRefused(f"{self.name}: label {label}: must be a listed field")

    def family(self, values: Mapping[_Some, float]) -> Family:
        """A counter's or gauge's value by its labels. Raises FieldRefused in strict mode."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        kind = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        made = kind(self.name, self.meaning, labels=self.labels)
        for labels, value in self._summed(values).items():
            made.add_metric(labels, value)
        return made

    def histogram(self, values: Mapping[_Some, Histogram]) -> Family:
        """A histogram by its labels. Raises FieldRefused in strict mode."""
        from prometheus_client.core import HistogramMetricFamily

        made = HistogramMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, each in values.items():
            made.add_metric(self._told(labels), each.buckets(), each.total)
        return made

    def _summed(self, values: Mapping[_Some, float]) -> dict[Labels, float]:
        """By what may be told: what is withheld falls together, and a series comes once."""
        summed: dict[Labels, float] = {}
        for labels, value in values.items():
            told = self._told(labels)
            summed[told] = summed.get(told, 0.0) + value
        return summed

    def _told(self, labels: Labels) -> Labels:
        checked = allowed(dict(zip(self.labels, labels, strict=True)))
        return tuple(str(checked[name]) for name in self.labels)
