"""A coordinator and four sites with a network link each: delay, loss and links that are cut.

Every one is in a network namespace of its own, joined by a bridge. Delay and loss are the kernel's
netem where it has it; where it has not, a row says so and a link that goes down for half a second
every few seconds stands in for both. Links are cut while a round is tuned: that of a site, then
that of the coordinator. Goals: rounds are finished, who was cut off is back in a later round, and
each update counts once.
"""

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from federation_parts.outages import replay_goals
from goals import Goal, not_measured, share

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))

from namespaces import COORDINATOR, SpreadRun, spread_run, why_not
from seeded_run import SeededRun, TooSlow

_CUTS_S, _QUICK_CUTS_S = (10.0, 70.0, 300.0), (10.0,)
_SITES = ("a", "b", "c", "d")
_QUORUM = {"min_sites": 2, "wait_s": 240.0, "round_s": 600.0}
_ROUND_LIMIT_S = 900.0
_DELAY_MS, _LOSS_PERCENT = 100.0, 2.0
_DOWN_S, _UP_S = 0.5, 4.0


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """One run: a round over bad links, then one for each cut, and a last one with all sites."""
    if reason := why_not():
        sys.stderr.write(f"    {reason}\n")
        return [not_measured("federation over network namespaces")]
    cuts = list(itertools.product((_SITES[1], COORDINATOR), _QUICK_CUTS_S if quick else _CUTS_S))
    rounds = len(cuts) + 2
    with spread_run(folder, _SITES, rounds, tune_s=3.0, **_QUORUM) as spread:
        try:
            has_netem = _bad_links(spread)
            for number, (name, seconds) in enumerate(cuts, start=2):
                sys.stderr.write(f"    {number}/{rounds} {name} is cut off for {seconds:g} s\n")
                _cut(spread, number, name, seconds)
            spread.run.finish(within_s=_ROUND_LIMIT_S)
        except TooSlow as error:
            sys.stderr.write(f"    {error}\n")
            has_netem = False
    return [
        Goal(what="netem in this kernel, for delay and loss", measured=has_netem, samples=1),
        *_goals(spread.run, rounds),
    ]


def _goals(run: SeededRun, rounds: int) -> list[Goal]:
    found, left = run.replay(), run.left_over()
    finished = [event for event in run.run.events() if event["event"] == "round-finished"]
    last = finished[-1]["sites"] if finished else []
    return [
        share("rounds finished", found.finished, rounds),
        share("sites in the last round", len(last), len(_SITES)),
        share(
            "updates that count, of those that could",
            found.updates,
            rounds * len(_SITES),
            at_least=None,
        ),
        Goal(
            what="starts of the coordinator beside the first",
            measured=run.starts - 1,
            samples=rounds,
            at_most=0,
        ),
        *replay_goals(found),
        Goal(what="processes left at the end", measured=len(left), samples=1, at_most=0),
    ]


def _bad_links(spread: SpreadRun) -> bool:
    """The first round over bad links of two sites; whether the kernel could make them so."""
    names = _SITES[2:]
    slow = {"delay_ms": _DELAY_MS, "loss_percent": _LOSS_PERCENT}
    has_netem = all(spread.network.impair(name, **slow) for name in names)
    if has_netem:
        _wait(spread, 1, "aggregation")
        return True
    sys.stderr.write("    no netem in this kernel: links go down and up instead\n")
    with _flapping(spread, names):
        _wait(spread, 1, "aggregation")
    return False


@contextmanager
def _flapping(spread: SpreadRun, names: tuple[str, ...]) -> Iterator[None]:
    """Links that are down for a moment every few seconds."""
    over = threading.Event()

    def flap() -> None:
        while not over.wait(_UP_S):
            for name in names:
                spread.network.cut(name)
            time.sleep(_DOWN_S)
            for name in names:
                spread.network.join(name)

    thread = threading.Thread(target=flap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _cut(spread: SpreadRun, number: int, name: str, seconds: float) -> None:
    _wait(spread, number, "tuning")
    spread.network.cut(name)
    time.sleep(seconds)
    spread.network.join(name)


def _wait(spread: SpreadRun, number: int, point: str) -> None:
    spread.run.wait_for(
        f"round {number}, {point}",
        lambda: spread.run.is_at(number, point),
        within_s=_ROUND_LIMIT_S,
    )
