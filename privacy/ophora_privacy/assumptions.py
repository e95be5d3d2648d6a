"""Which accountants and samplings may be named, and why the others may not.

Every name here was met in published code that reports a smaller epsilon than it gives. A name that
is refused raises with its reason, so that no setting can bring it in by another door.
"""

from __future__ import annotations

from collections.abc import Mapping

from ophora_privacy.errors import InvalidPlan

ACCOUNTANTS = ("pld", "prv", "rdp")
SAMPLINGS = ("poisson",)

_REFUSED_ACCOUNTANTS = {
    "gdp": "its central-limit figure is below the truth (1.86 where 2.19 is spent)",
    "classical": "sqrt(2 ln(1.25/delta))/epsilon holds for epsilon below 1 and a single release",
    "group": "multiplying a clip's epsilon by the clips of a patient leaves delta without meaning",
}
_REFUSED_SAMPLINGS = {
    "shuffled": "batches of a shuffled epoch are not amplified like Poisson samples (15.5 spent "
    "where 2.19 is claimed)",
    "fixed-size": "a batch of fixed size is not a Poisson sample; its accounting is another",
    "weighted": "weights give some patients a higher rate than the one accounted for",
}


def check_accountant(name: str) -> str:
    """`name` where it may say what was spent. Raises InvalidPlan, with the reason."""
    return _check("accountant", name, ACCOUNTANTS, _REFUSED_ACCOUNTANTS)


def check_sampling(name: str) -> str:
    """`name` where its amplification is accounted for. Raises InvalidPlan, with the reason."""
    return _check("sampling", name, SAMPLINGS, _REFUSED_SAMPLINGS)


def _check(what: str, name: str, allowed: tuple[str, ...], refused: Mapping[str, str]) -> str:
    if name in allowed:
        return name
    reason = f": {refused[name]}" if name in refused else ""
    raise InvalidPlan(f"{what}={name!r}: must be one of {', '.join(allowed)}{reason}")
