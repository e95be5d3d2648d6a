"""A soak of tiny rounds in which any process may die at any moment: SIGKILLs over all kinds.

The coordinator's four processes, each site's four and whoever started them all, in an order drawn
from the seed, two kills a round. Sites are seeded, so the adapter that must come out is worked out
from who took part in each round. What was started is ended by its guard, also where the parent was
killed; the parent is started again as an operator or systemd would.
"""

import itertools
import random
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from goals import Goal, share

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))

from faults import KINDS, find, kill_one
from federation_parts.outages import replay_goals
from seeded_run import SeededRun, TooSlow, seeded_run

_KILLS, _QUICK_KILLS = 200, 6
_A_ROUND = 2
_SITES = ("a", "b", "c")
_QUORUM = {"min_sites": 1, "wait_s": 150.0, "round_s": 300.0}
_DEADLINE_S = 900.0  # without a finished round
_FIRST_SPREAD_S = 10.0


@dataclass(slots=True)
class _Soak:
    """What was done to a run."""

    killed: list[str] = field(default_factory=list)
    hangs: int = 0


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """200 kills in 100 rounds and a last one; quick 6 in 3."""
    kills = _QUICK_KILLS if quick else _KILLS
    rounds = kills // _A_ROUND + 1
    with seeded_run(folder, _SITES, rounds, tune_s=0.5, **_QUORUM) as run:
        soak = _disturb(run, rounds, kills, random.Random(seed))
    left, found, told = run.left_over(), run.replay(), run.told()
    parents = soak.killed.count("parent")
    return [
        share("SIGKILLs that met their process", len(soak.killed), kills),
        Goal(what="kinds among them", measured=len(set(soak.killed)), samples=kills),
        share("rounds finished", found.finished, rounds),
        Goal(
            what="attempts of a round that were begun for each finished one",
            measured=found.attempts / max(1, found.finished),
            samples=found.attempts,
        ),
        share(
            "updates that count, of those that could",
            found.updates,
            rounds * len(_SITES),
            at_least=None,
        ),
        Goal(
            what="longest time without a finished round, s",
            measured=_longest_wait(run),
            samples=found.finished,
            at_most=_DEADLINE_S,
        ),
        Goal(what="hangs beyond the deadline", measured=soak.hangs, samples=rounds, at_most=0),
        Goal(
            what="starts beside the first and one for each killed parent",
            measured=run.starts - 1 - parents,
            samples=run.starts,
            at_most=0,
        ),
        Goal(
            what="processes that were started again",
            measured=sum(1 for event in told if event["event"] == "restarted"),
            samples=kills,
        ),
        *replay_goals(found),
        Goal(what="processes left at the end", measured=len(left), samples=1, at_most=0),
    ]


def _disturb(run: SeededRun, rounds: int, kills: int, rng: random.Random) -> _Soak:
    """Kill one process after the other, each at a moment drawn over the length of a round."""
    soak = _Soak()
    for number, kind in enumerate(_kinds(kills, rng)):
        try:
            _wait_for_rounds(run, number // _A_ROUND)
            time.sleep(rng.uniform(0.0, _round_length(run)))
            _wait_for_kind(run, kind, rounds)
            if kill_one(run, kind, rng):
                soak.killed.append(kind)
                sys.stderr.write(f"    {number + 1}/{kills} {kind}: {run.rounds_done()} rounds\n")
        except TooSlow as error:
            sys.stderr.write(f"    {error}\n")
            soak.hangs += 1
            return soak
    try:
        run.finish(within_s=_DEADLINE_S)
    except TooSlow as error:
        sys.stderr.write(f"    {error}\n")
        soak.hangs += 1
    return soak


def _kinds(kills: int, rng: random.Random) -> list[str]:
    """All kinds in an order of its own, again and again."""
    kinds: list[str] = []
    while len(kinds) < kills:
        kinds += rng.sample(KINDS, len(KINDS))
    return kinds[:kills]


def _wait_for_rounds(run: SeededRun, number: int) -> None:
    """Kills don't run ahead of the rounds: that many are done."""
    run.wait_for(f"round {number}", lambda: run.rounds_done() >= number, within_s=_DEADLINE_S)


def _wait_for_kind(run: SeededRun, kind: str, rounds: int) -> None:
    """One of the kind is there, unless the rounds end before."""
    run.wait_for(
        kind,
        lambda: bool(find(run, kind)) or run.rounds_done() >= rounds,
        within_s=_DEADLINE_S,
    )


def _round_length(run: SeededRun) -> float:
    """The median so far."""
    lengths = [e["seconds"] for e in run.run.events() if e["event"] == "round-finished"]
    return float(statistics.median(lengths)) if lengths else _FIRST_SPREAD_S


def _longest_wait(run: SeededRun) -> float:
    """From the first event on."""
    events = run.run.events()
    times = [e["time"] for e in events[:1]]
    times += [e["time"] for e in events if e["event"] == "round-finished"]
    return max((later - before for before, later in itertools.pairwise(times)), default=0.0)
