"""Epsilon of each patient over the rounds that the ledger has reserved, computed and drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ophora_privacy.ledger_spend import Spend

_INK, _GRID, _CAP = "#22303c", "#d9e0e6", "#b3261e"
_STAGE_COLOURS = ("#1f77a4", "#d9822b", "#5b8c5a", "#7a5ea8")
_MOST_POINTS = 40  # each is a computation of a tenth of a second
_LOGARITHMIC_FROM = 200.0


def epsilon_over_rounds(
    spends: Sequence[Spend], delta: float, progress: Callable[[int, int], None]
) -> tuple[list[int], list[float]]:
    """How many rounds, and epsilon after them; at most 40 places, the last among them."""
    from ophora_privacy.accountant import epsilon_of

    count = len(spends)
    most = min(_MOST_POINTS, count)
    places = sorted({round(count * number / most) for number in range(1, most + 1)})
    values = []
    for done, place in enumerate(places, start=1):
        values.append(epsilon_of([spend.event for spend in spends[:place]], delta).value)
        progress(done, len(places))
    return places, values


def draw_budget(
    places: Sequence[int],
    values: Sequence[float],
    stages: Sequence[str],
    *,
    cap: float,
    size_in: tuple[float, float] = (7.2, 3.4),
) -> bytes:
    """PNG: epsilon after each round, one colour a stage, the cap as a line; `size_in` in inches."""
    import io

    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=size_in, dpi=130, layout="constrained")
    axes = figure.add_subplot()
    shown = [value if math.isfinite(value) else math.nan for value in values]
    axes.plot(places, shown, color=_GRID, linewidth=1.5, zorder=1)
    for colour, stage in zip(_STAGE_COLOURS, dict.fromkeys(stages), strict=False):
        at = [index for index, name in enumerate(stages) if name == stage]
        axes.scatter(
            [places[index] for index in at], [shown[index] for index in at],
            color=colour, s=22, label=stage, zorder=2,
        )  # fmt: skip
    highest = max((value for value in shown if not math.isnan(value)), default=1.0)
    _draw_cap(axes, cap)
    _scale(axes, highest, cap)
    axes.set_xlim(0, max([*places, 4]) * 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set_xlabel("rounds reserved", color=_INK)
    axes.set_ylabel("epsilon of each patient", color=_INK)
    if stages:
        axes.legend(
            frameon=False, fontsize=9, ncols=4, loc="lower right", bbox_to_anchor=(1.01, 1.0)
        )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=8)
    axes.grid(axis="y", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor="white")
    return data.getvalue()


def _draw_cap(axes: Any, cap: float) -> None:
    if math.isinf(cap):
        return
    axes.axhline(cap, color=_CAP, linewidth=1.2, linestyle="--")
    axes.annotate(
        f"cap {cap:g}", (0.01, cap), xycoords=("axes fraction", "data"), xytext=(0, 4),
        textcoords="offset points", ha="left", va="bottom", color=_CAP, fontsize=9,
    )  # fmt: skip


def _scale(axes: Any, highest: float, cap: float) -> None:
    top = highest if math.isinf(cap) else max(highest, cap)
    if top >= _LOGARITHMIC_FROM:
        axes.set_yscale("log")
        axes.set_ylim(top=top * 2)
    else:
        axes.set_ylim(0, top * 1.15)
