"""The accountant against two others, and the ledger against crashes and races of real processes."""

import sys
import time
from itertools import accumulate, pairwise
from pathlib import Path

from goals import Goal, share
from ophora_privacy.accountant import cross_check, epsilon_of, noise_for
from ophora_privacy.plan import GaussianEvent

_SUPPORT = Path(__file__).parents[2] / "tests" / "support"
_DELTA = 1e-5
SCENARIOS = (  # noise multiplier, sampling rate, steps; 200 patients, or 2,000 at the least rate
    ((1.0, 0.016, 500),),
    ((1.0, 0.16, 500),),
    ((2.0, 0.16, 500),),
    ((4.0, 0.16, 500),),
    ((6.0, 0.16, 500),),
    ((0.8, 0.04, 500),),
    ((1.0, 0.04, 500),),
    ((1.5, 0.04, 500),),
    ((2.0, 0.04, 500),),
    ((1.0, 0.016, 300), (0.8, 0.032, 200)),
)
_TARGETS = (1.0, 3.0, 8.0, 10.0)


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Figures of the accountants, then of a hundred crashes and a race."""
    return [*_figures(), _monotone(), *_calibration(quick), *_crashes(quick, folder, seed)]


def _figures() -> list[Goal]:
    checks = [cross_check(_events(scenario), _DELTA) for scenario in SCENARIOS]
    count = len(checks)
    return [
        Goal(
            what="PLD over the Renyi bound, worst",
            measured=max(check.pld / check.rdp for check in checks),
            samples=count,
            at_most=1.0,
        ),
        Goal(
            what="PLD and PRV apart, worst, %",
            measured=max(100 * abs(check.pld / check.prv - 1) for check in checks),
            samples=count,
            at_most=1.0,
        ),
    ]


def _monotone() -> Goal:
    """Epsilon after each event of a history of many mechanisms never falls."""
    history = [event for scenario in SCENARIOS for event in _events(scenario)]
    prefixes = list(accumulate(([event] for event in history), list.__add__))
    values = [epsilon_of(prefix, _DELTA).value for prefix in prefixes]
    rising = sum(one < other for one, other in pairwise(values))
    return share("events that raise epsilon", rising, len(values) - 1)


def _calibration(quick: bool) -> list[Goal]:
    targets = _TARGETS[:1] if quick else _TARGETS
    start_s, within, reached = time.process_time(), 0, []
    for target in targets:
        event = GaussianEvent(
            noise_multiplier=noise_for(target, _DELTA, 0.04, 500), sampling_rate=0.04, steps=500
        )
        spent = epsilon_of([event], _DELTA).value
        within += spent <= target
        reached.append(spent / target)
    seconds = (time.process_time() - start_s) / len(targets)
    return [
        share("calibrated noise within its target", within, len(targets)),
        Goal(
            what="share of the target that is used, least",
            measured=min(reached),
            samples=len(targets),
            at_least=0.99,
        ),
        Goal(what="calibration, CPU s", measured=seconds, samples=len(targets), at_most=10.0),
    ]


def _crashes(quick: bool, folder: Path, seed: int) -> list[Goal]:
    if str(_SUPPORT) not in sys.path:
        sys.path.insert(0, str(_SUPPORT))
    from ledger_processes import crash, race

    places = [folder / "crash", folder / "race"]
    for place in places:
        place.mkdir()
    crashed = crash(places[0], runs=20 if quick else 100, seed=seed)
    raced = race(places[1], processes=4 if quick else 8)
    kills, announced = int(crashed["kills"]), int(crashed["announced"])
    return [
        share("ledgers that open after a kill", kills - int(crashed["unopened"]), kills),
        share("announced rounds in the ledger", announced - int(crashed["lost"]), announced),
        Goal(
            what="epsilon in the ledger over the true one",
            measured=crashed["epsilon"] / crashed["true_epsilon"],
            samples=kills,
            at_least=1.0,
        ),
        Goal(what="kills that left the head behind", measured=crashed["behind"], samples=kills),
        Goal(
            what="epsilon over the cap after a race",
            measured=raced["epsilon"] / raced["cap"],
            samples=int(raced["passed"]),
            at_most=1.0,
        ),
    ]


def _events(scenario: tuple[tuple[float, float, int], ...]) -> list[GaussianEvent]:
    return [
        GaussianEvent(noise_multiplier=noise, sampling_rate=rate, steps=steps)
        for noise, rate, steps in scenario
    ]
