"""Charts by round as geometry; the template draws them as SVG, so they follow the page's colours.

Coordinates are those of the plotting area, `WIDTH` by `HEIGHT`, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WIDTH, HEIGHT = 300, 130
_MOST_DOTS = 40
_MOST_TICKS = 6
Series = Mapping[str, Mapping[int, float]]  # name -> round -> value


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A place on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A dot or a bar; `said` is its tooltip, `series` its number and colour."""

    x: float
    y: float
    width: float
    height: float
    series: int
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The points of a polyline."""

    points: str
    series: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Ready to draw; `said` tells a reader who can't see it what it shows."""

    title: str
    said: str
    names: tuple[str, ...]
    lines: tuple[Line, ...] = ()
    dots: tuple[Shape, ...] = ()
    bars: tuple[Shape, ...] = ()
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    low: float
    high: float
    step: float

    @classmethod
    def over(cls, low: float, high: float) -> _Scale:
        """Whole steps of 1, 2 or 5 that hold the values."""
        span = (high - low) or abs(high) or 1.0
        power = 10.0 ** math.floor(math.log10(span / 4))
        step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 4.01)
        bottom = math.floor(low / step + 1e-9) * step
        return cls(
            low=bottom, high=max(math.ceil(high / step - 1e-9) * step, bottom + step), step=step
        )

    def y(self, value: float) -> float:
        return HEIGHT * (1 - (value - self.low) / (self.high - self.low))

    def ticks(self, label: Callable[[float], str]) -> tuple[Tick, ...]:
        number = round((self.high - self.low) / self.step)
        values = [round(self.low + place * self.step, 12) for place in range(number + 1)]
        return tuple(Tick(at=self.y(value), label=label(value)) for value in values)


def line_chart(title: str, series: Series, *, label: Callable[[float], str]) -> Chart | None:
    """A line for each series; None where no round has a value. Starts at 0 unless that is far."""
    values = [value for each in series.values() for value in each.values()]
    if not values:
        return None
    low, high = min(values), max(values)
    if low == high or 0 <= low < 0.6 * high:
        low, high = min(0.0, low), max(0.0, high)
    scale = _Scale.over(low, high)
    first, last = _range(series)
    lines, dots = [], []
    for number, (name, by_round) in enumerate(series.items()):
        places = [(_x(at, first, last), scale.y(by_round[at]), at) for at in sorted(by_round)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        lines.append(Line(points=points, series=number))
        if len(places) > _MOST_DOTS:
            continue
        for x, y, at in places:
            said = f"{name}, round {at}: {label(by_round[at])}"
            dots.append(Shape(x=x, y=y, width=0, height=0, series=number, said=said))
    return Chart(
        title=title,
        said=_said(series, label),
        names=tuple(series),
        lines=tuple(lines),
        dots=tuple(dots),
        x_ticks=_round_ticks(first, last, _x),
        y_ticks=scale.ticks(label),
    )


def bar_chart(title: str, series: Series, *, label: Callable[[float], str]) -> Chart | None:
    """Bars of the series side by side for each round, from 0; None where there is no round."""
    values = [value for each in series.values() for value in each.values()]
    if not values:
        return None
    scale = _Scale.over(0.0, max(values))
    first, last = _range(series)
    slot = WIDTH / (last - first + 1)
    width = min(26.0, slot * 0.8 / len(series))
    bars = []
    for number, (name, by_round) in enumerate(series.items()):
        for at, value in sorted(by_round.items()):
            x = _middle(at, first, last) + (number - len(series) / 2) * width
            y = scale.y(value)
            said = f"{name}, round {at}: {label(value)}"
            bar = Shape(x=x, y=y, width=width, height=HEIGHT - y, series=number, said=said)
            bars.append(bar)
    return Chart(
        title=title,
        said=_said(series, label),
        names=tuple(series),
        bars=tuple(bars),
        x_ticks=_round_ticks(first, last, _middle),
        y_ticks=scale.ticks(label),
    )


def _range(series: Series) -> tuple[int, int]:
    numbers = [number for each in series.values() for number in each]
    return min(numbers), max(numbers)


def _x(number: int, first: int, last: int) -> float:
    """From edge to edge; one round alone stands in the middle."""
    return WIDTH / 2 if first == last else WIDTH * (number - first) / (last - first)


def _middle(number: int, first: int, last: int) -> float:
    """The middle of the round's slot."""
    return WIDTH * (number - first + 0.5) / (last - first + 1)


def _round_ticks(
    first: int, last: int, place: Callable[[int, int, int], float]
) -> tuple[Tick, ...]:
    step = math.ceil((last - first + 1) / _MOST_TICKS)
    numbers = range(first, last + 1, step)
    return tuple(Tick(at=place(number, first, last), label=str(number)) for number in numbers)


def _said(series: Series, label: Callable[[float], str]) -> str:
    parts = []
    for name, by_round in series.items():
        if by_round:
            first, last = min(by_round), max(by_round)
            ends = f"{label(by_round[first])} in round {first}"
            if last != first:
                ends += f", {label(by_round[last])} in round {last}"
            parts.append(f"{name}: {ends}")
    return "; ".join(parts)
