"""Histograms as geometry; the template draws them as SVG, so they follow the page's colours."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 460, 150  # of the plotting area, in SVG units
_BINS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One rectangle; `said` is its tooltip."""

    x: float
    y: float
    width: float
    height: float
    series: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place on the x axis: a tick or a threshold."""

    x: float
    label: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A stacked histogram, ready to draw."""

    title: str
    unit: str
    top: int  # clips in the highest stack
    num_values: int
    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    thresholds: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    low: float
    high: float
    is_log: bool

    def place(self, value: float) -> float:
        """0-1 along the axis, kept on it."""
        low, high, value = (self._scale(each) for each in (self.low, self.high, value))
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def value(self, place: float) -> float:
        """The inverse of `place`."""
        if self.is_log:
            return float(self.low * (self.high / self.low) ** place)
        return self.low + (self.high - self.low) * place

    def _scale(self, value: float) -> float:
        return math.log(max(value, self.low)) if self.is_log else value


def histogram(
    title: str,
    unit: str,
    series: Mapping[str, Sequence[float]],
    *,
    thresholds: Mapping[str, float],
    log_from: float = 0.0,
) -> Histogram:
    """Stack the series in equal bins over their range; the axis takes in the thresholds.

    `log_from` > 0 makes the axis logarithmic from there; smaller values are in the first bin.
    """
    values = [value for each in series.values() for value in each]
    known = [*values, *thresholds.values()]
    high = max(known, default=1.0) or 1.0
    axis = _Axis(low=log_from or 0.0, high=max(high, log_from * 10) * 1.02, is_log=log_from > 0)
    counts = {name: [0] * _BINS for name in series}
    for name, each in series.items():
        for value in each:
            counts[name][min(_BINS - 1, int(axis.place(value) * _BINS))] += 1
    top = max((sum(each) for each in zip(*counts.values(), strict=True)), default=0)
    return Histogram(
        title=title,
        unit=unit,
        top=top,
        num_values=len(values),
        bars=tuple(_bars(counts, axis, top)),
        ticks=tuple(
            Mark(x=axis.place(value) * WIDTH, label=_short(value), anchor=_anchor(axis, value))
            for value in _round_values(axis)
        ),
        thresholds=tuple(
            Mark(
                x=axis.place(value) * WIDTH,
                label=f"{name} {_short(value)}",
                anchor="end" if axis.place(value) > 0.5 else "start",
            )
            for name, value in thresholds.items()
        ),
    )


def _bars(counts: Mapping[str, Sequence[int]], axis: _Axis, top: int) -> list[Bar]:
    width = WIDTH / _BINS
    filled = [0] * _BINS
    bars = []
    for name, each in counts.items():
        for position, count in enumerate(each):
            if not count:
                continue
            filled[position] += count
            low, high = axis.value(position / _BINS), axis.value((position + 1) / _BINS)
            bars.append(
                Bar(
                    x=position * width + 0.5,
                    y=HEIGHT * (1 - filled[position] / top),
                    width=width - 1,
                    height=HEIGHT * count / top,
                    series=name,
                    said=f"{_short(low)} to {_short(high)}: {count} {name}",
                )
            )
    return bars


def _round_values(axis: _Axis) -> list[float]:
    """Decades of a logarithmic axis; else at most six steps of 1, 2 or 5."""
    if axis.is_log:
        low, high = math.ceil(math.log10(axis.low)), math.floor(math.log10(axis.high))
        return [10.0**power for power in range(low, high + 1)]
    power = 10.0 ** math.floor(math.log10(axis.high / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if axis.high / (power * factor) <= 5.5)
    return [round(number * step, 10) for number in range(int(axis.high / step) + 1)]


def _anchor(axis: _Axis, value: float) -> str:
    place = axis.place(value)
    return "start" if place < 0.02 else "end" if place > 0.98 else "middle"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
