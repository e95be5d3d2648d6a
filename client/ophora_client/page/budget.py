"""What the ledger says was spent on each patient, with the plot of `ophora site budget`.

Epsilon is dear to compute, so a figure is kept until the ledger has another reservation. The chain
is checked from its start at every reading. Nothing is written but what every opening mends: a head
that a crash left behind the ledger.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from ophora_client.budget_plot import draw_budget, epsilon_over_rounds
from ophora_client.page.trouble import Trouble
from ophora_client.site import Site
from ophora_privacy.accountant import Epsilon, epsilon_of
from ophora_privacy.errors import PrivacyError
from ophora_privacy.ledger_spend import Spend

_WIDE_IN, _NARROW_IN = (7.2, 3.0), (3.4, 2.6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Of each patient, for life. `left` and `share` are None where there is no cap."""

    spent: Epsilon
    cap: float
    rounds: int
    cut_off: int  # reserved, and ended by nothing that was noted: they count in full
    left: float | None
    share: float | None  # of the cap, 0 to 1


class BudgetReader:
    """Reads the ledger of one site. Safe across threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # several browsers' requests: one computation for all
        self._known: tuple[tuple[object, ...], Epsilon] | None = None
        self._drawn: dict[bool, tuple[tuple[object, ...], bytes]] = {}
        self._course: tuple[tuple[object, ...], list[int], list[float]] | None = None

    def read(self, site: Site) -> Budget | Trouble:
        """The figures, or why there are none."""
        try:
            ledger = site.open_ledger()
            spends = ledger.spends()
            with self._lock:
                spent = self._epsilon(spends, ledger.delta)
        except PrivacyError as error:
            return _trouble(error)
        cap = ledger.cap
        left = None if math.isinf(cap) else max(0.0, cap - spent.value)
        return Budget(
            spent=spent,
            cap=cap,
            rounds=len(spends),
            cut_off=sum(not spend.settled for spend in spends),
            left=left,
            share=None if left is None else min(1.0, spent.value / cap),
        )

    def plot(self, site: Site, *, is_narrow: bool) -> bytes | None:
        """PNG of epsilon over rounds; None where there is nothing to draw."""
        try:
            ledger = site.open_ledger()
            spends = ledger.spends()
        except PrivacyError:
            return None
        if not spends:
            return None
        with self._lock:
            key = (*_key(spends, ledger.delta), ledger.cap)
            held = self._drawn.get(is_narrow)
            if held is None or held[0] != key:
                places, values = self._over_rounds(spends, ledger.delta)
                stages = [spends[place - 1].stage for place in places]
                size_in = _NARROW_IN if is_narrow else _WIDE_IN
                held = key, draw_budget(places, values, stages, cap=ledger.cap, size_in=size_in)
                self._drawn[is_narrow] = held
            return held[1]

    def _epsilon(self, spends: Sequence[Spend], delta: float) -> Epsilon:
        key = _key(spends, delta)
        if self._known is None or self._known[0] != key:
            self._known = key, epsilon_of([spend.event for spend in spends], delta)
        return self._known[1]

    def _over_rounds(self, spends: Sequence[Spend], delta: float) -> tuple[list[int], list[float]]:
        key = _key(spends, delta)
        if self._course is None or self._course[0] != key:
            self._course = key, *epsilon_over_rounds(spends, delta, lambda done, total: None)
        return self._course[1], self._course[2]


def _key(spends: Sequence[Spend], delta: float) -> tuple[object, ...]:
    return (delta, *(spend.event for spend in spends))


def _trouble(error: PrivacyError) -> Trouble:
    """The ledger's own words, which name the file, the entry and the remedy, and no path."""
    return Trouble(
        said=f"The ledger does not hold, and no round trains ({error}).",
        remedy=(
            "Never begin a new ledger: what was spent on patients would be forgotten."
            " `ophora site budget verify --site SITE` checks it again."
        ),
    )
