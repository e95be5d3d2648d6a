"""Outages at every point of a round, over real processes, and what they cost.

One run of seeded sites (the model alone is left out) has an outage in each of its rounds: the
SuperLink, a site's SuperNode or its trainer is killed, and killed again whenever it is started in
its place, or is frozen, for so long. Goals: the rounds go on by themselves, and what comes out is
bit for bit what the receipts of the registry say, each update counted once, no ledger below what
was tuned. Two rounds and three more after a new start equal five rounds.
"""

import itertools
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from goals import Goal, share

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))

from faults import keep_frozen, keep_killed
from replaying import Replay
from seeded_run import POINTS, SeededRun, TooSlow, seeded_run
from seeded_site import seeded_settings

_LONG_S, _SHORT_S = (10.0, 70.0, 300.0), (5.0, 15.0)
_SITES = ("a", "b")
_TUNE_S = 3.0
_QUORUM = {"min_sites": 1, "wait_s": 240.0, "round_s": 600.0}
_ROUND_LIMIT_S = 900.0  # from the end of an outage


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Who is away, how, for how long, and from which point of a round."""

    kind: str
    site: str
    frozen: bool
    seconds: float
    point: str

    def make(self, run: SeededRun) -> int:
        """Have it now; how many processes it met."""
        keep = keep_frozen if self.frozen else keep_killed
        return keep(run, self.kind, self.site, seconds=self.seconds)


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Every outage in the full run, every third in the quick one; then the two equal runs."""
    outages = _outages(quick)
    met, after, run = _disturbed(folder / "outages", outages)
    whole, resumed = _two_ways(folder, rounds=2 if quick else 5, first=1 if quick else 2)
    return [
        share("outages that met their process", met, len(outages)),
        share("rounds finished after an outage", len(after), len(outages)),
        Goal(
            what="longest time from an outage's end to the next finished round, s",
            measured=max(after, default=0.0),
            samples=len(after),
            at_most=_ROUND_LIMIT_S,
        ),
        Goal(
            what="starts of the federation beside the first",
            measured=run.starts - 1,
            samples=len(outages),
            at_most=0,
        ),
        Goal(
            what="rounds that were submitted again",
            measured=sum(1 for e in run.told() if e.get("process") == "rounds"),
            samples=len(outages),
        ),
        *replay_goals(run.replay()),
        Goal(
            what="processes left at the end",
            measured=len(run.left_over()),
            samples=1,
            at_most=0,
        ),
        Goal(
            what="numbers that differ between rounds in one and in two starts",
            measured=_differences(whole, resumed),
            samples=sum(value.size for value in whole.adapter.values()),
            at_most=0,
        ),
    ]


def replay_goals(found: Replay) -> list[Goal]:
    """What the registry and the ledgers say of a run."""
    return [
        Goal(
            what="updates counted twice, or out of their round",
            measured=len(found.twice),
            samples=found.updates,
            at_most=0,
        ),
        Goal(
            what="rounds or updates that differ from what the receipts say",
            measured=len(found.different),
            samples=found.finished,
            at_most=0,
        ),
        Goal(
            what="ledgers below what was tuned",
            measured=len(found.underspent),
            samples=found.updates,
            at_most=0,
        ),
    ]


def _outages(quick: bool) -> list[Outage]:
    """Sites take turns."""
    sites = itertools.cycle(_SITES)
    made = [
        Outage(
            kind=kind,
            site="" if kind == "superlink" else next(sites),
            frozen=frozen,
            seconds=seconds,
            point=point,
        )
        for point in POINTS
        for kind in ("superlink", "supernode", "trainer")
        for frozen in (False, True)
        for seconds in (_SHORT_S if quick else _LONG_S)
    ]
    # five has no factor with the others: every kind, manner, length and point is among them
    return made[::5] if quick else made


def _disturbed(folder: Path, outages: list[Outage]) -> tuple[int, list[float], SeededRun]:
    """How many outages met a process, seconds until a round was finished after each, the run."""
    met, after = 0, []
    with seeded_run(folder, _SITES, len(outages), tune_s=_TUNE_S, **_QUORUM) as run:
        for number, outage in enumerate(outages, start=1):
            sys.stderr.write(f"    {number}/{len(outages)} {outage}\n")
            try:
                run.wait_for(
                    f"round {number}, {outage.point}",
                    lambda number=number, point=outage.point: run.is_at(number, point),
                    within_s=_ROUND_LIMIT_S,
                )
                met += outage.make(run) > 0
                over = time.monotonic()
                run.wait_for(
                    f"round {number}",
                    lambda number=number: run.rounds_done() >= number,
                    within_s=_ROUND_LIMIT_S,
                )
                after.append(time.monotonic() - over)
            except TooSlow as error:
                sys.stderr.write(f"    {error}\n")
                return met, after, run
        run.finish(within_s=_ROUND_LIMIT_S)
    return met, after, run


def _two_ways(folder: Path, *, rounds: int, first: int) -> tuple[Replay, Replay]:
    """So many rounds in one start; and again, of which the `first` in a start of their own."""
    found = []
    for name, asked in (("whole", rounds), ("resumed", first)):
        with seeded_run(folder / name, _SITES, asked, tune_s=0.0, **_QUORUM) as run:
            run.finish(within_s=_ROUND_LIMIT_S)
            if asked < rounds:
                seeded_settings(rounds, expected_sites=len(_SITES), **_QUORUM).write(
                    run.run.settings_file
                )
                run.start()
                run.finish(within_s=_ROUND_LIMIT_S)
        found.append(run.replay())
    return found[0], found[1]


def _differences(one: Replay, other: Replay) -> int:
    """Numbers that are not the same; all of them where a run has a fault or lacks a round."""
    if one.faults or other.faults or one.finished != other.finished:
        return sum(value.size for value in one.adapter.values())
    return sum(
        int(np.count_nonzero(value != other.adapter[name])) for name, value in one.adapter.items()
    )
