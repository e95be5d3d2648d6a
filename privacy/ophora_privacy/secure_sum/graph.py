"""Who shares secrets with whom: a complete graph, or SecAgg+'s regular one for many sites.

Data path: names and a public seed -> `neighbours_of` -> every site's neighbours. Each site gets the
same number of them, so that one threshold holds everywhere (Bell et al. 2020, section 3: a circle
in random order, each joined with the nearest on both sides).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence


def threshold_of(degree: int) -> int:
    """Shares that rebuild a secret: two thirds of the neighbours, rounded up; always above half.

    Above half, a coordinator that asks each neighbour once can't gather both secrets of one site;
    at two thirds it can't with about a third of them answering both ways.
    """
    return -(-2 * degree // 3)


def neighbours_of(names: Sequence[str], degree: int, seed: bytes) -> dict[str, tuple[str, ...]]:
    """Each site's neighbours in sorted order: all others, or `degree` of them, which is even."""
    if degree >= len(names) - 1:
        return {name: tuple(sorted(set(names) - {name})) for name in names}
    ring = sorted(names, key=lambda name: hashlib.sha256(seed + name.encode()).digest())
    reach = [step for step in range(-(degree // 2), degree // 2 + 1) if step]
    return {
        name: tuple(sorted(ring[(place + step) % len(ring)] for step in reach))
        for place, name in enumerate(ring)
    }


def smallest_degree(
    sites: int,
    *,
    dropout: float = 0.3,
    colluding: float = 0.1,
    failure: float = 2.0**-20,
    leak: float = 2.0**-40,
) -> int:
    """The fewest neighbours with which a round of `sites` works and is safe; at most all others.

    With the share `dropout` of all sites lost at random, some neighbourhood falls under its
    threshold with probability at most `failure`; with the share `colluding` placed before the
    circle is drawn, some neighbourhood has as many as the threshold with probability at most
    `leak` (union bounds over sites, hypergeometric tails). With nearly a third lost it is
    nearly all others; with a tenth lost it is 30 of 100 sites and 78 of 1,000.
    """
    lost, bad = math.floor(dropout * sites), math.floor(colluding * sites)
    for degree in range(2, sites - 1, 2):
        least = threshold_of(degree)
        breaks = sites * _tail(sites - 1, lost, degree, degree - least + 1)
        leaks = sites * _tail(sites - 1, bad, degree, least)
        if breaks <= failure and leaks <= leak:
            return degree
    return sites - 1


def _tail(population: int, marked: int, drawn: int, least: int) -> float:
    """Probability of `least` or more marked ones among those drawn."""
    ways = sum(
        math.comb(marked, hits) * math.comb(population - marked, drawn - hits)
        for hits in range(least, min(marked, drawn) + 1)
    )
    return ways / math.comb(population, drawn)
