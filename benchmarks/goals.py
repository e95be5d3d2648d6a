"""Goals of a benchmark: one table, one JSON file, one exit code for all of them.

A goal without a sample was not measured, and does not hold. A share may come with its 95 % lower
bound: the least true share under which so many hits would still turn up in one trial of twenty.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_HEADER = ("what", "measured", "low 95 %", "goal", "of", "holds")
_LEFT_OUT = 0.05  # of the one-sided bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """`measured` over `samples` is to be `at_least` or `at_most` so much; `what` says the unit.

    A figure with neither limit is printed for comparison, and holds where it was measured.
    """

    what: str
    measured: float
    samples: int
    at_least: float | None = None
    at_most: float | None = None
    low: float | None = None  # 95 % lower bound of a share, printed, not judged

    @property
    def holds(self) -> bool:
        """True where it was measured and within its limits."""
        if self.samples <= 0 or math.isnan(self.measured):
            return False
        enough = self.at_least is None or self.measured >= self.at_least
        return enough and (self.at_most is None or self.measured <= self.at_most)


def share(
    what: str, hits: int, total: int, *, at_least: float | None = 1.0, bounded: bool = False
) -> Goal:
    """A goal for `hits` of `total`; `bounded` adds the lower bound."""
    return Goal(
        what=what,
        measured=hits / total if total else math.nan,
        samples=total,
        at_least=at_least,
        low=lower_bound(hits, total) if bounded and total else None,
    )


def lower_bound(hits: int, total: int) -> float:
    """One-sided 95 % Clopper-Pearson bound of a share: 0.990 for 300 of 300 (rule of three)."""
    if hits == 0:
        return 0.0
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if _at_least(hits, total, middle) < _LEFT_OUT:
            low = middle
        else:
            high = middle
    return low


def _at_least(hits: int, total: int, chance: float) -> float:
    """Probability of `hits` or more of `total`."""
    if chance in (0.0, 1.0):
        return chance
    logs = [
        math.lgamma(total + 1)
        - math.lgamma(count + 1)
        - math.lgamma(total - count + 1)
        + count * math.log(chance)
        + (total - count) * math.log1p(-chance)
        for count in range(hits, total + 1)
    ]
    return math.fsum(math.exp(log) for log in logs)


def not_measured(what: str) -> Goal:
    """A row for what could not be measured; it never holds."""
    return Goal(what=what, measured=math.nan, samples=0)


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small sample")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    parser.add_argument("--check", action="store_true", help="exit 1 where a goal does not hold")
    return parser


def report(
    goals: Sequence[Goal],
    arguments: argparse.Namespace,
    counts: Mapping[str, int] | None = None,
) -> int:
    """Print the table and, below it, counts without a goal; the exit code."""
    sys.stdout.write(format_table(goals))
    for name, count in (counts or {}).items():
        sys.stdout.write(f"{name}: {count}\n")
    if arguments.json is not None:
        _write_json(arguments.json, goals, arguments, counts or {})
    return int(arguments.check and not all(goal.holds for goal in goals))


def format_table(goals: Sequence[Goal]) -> str:
    """One line a goal; the bound's column only where a goal has one."""
    rows = [_HEADER, *(_row(goal) for goal in goals)]
    if all(goal.low is None for goal in goals):
        rows = [(*row[:2], *row[3:]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for what, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([what.ljust(widths[0]), *cells]) + "\n")
    return "".join(lines)


def _row(goal: Goal) -> tuple[str, ...]:
    return (
        goal.what,
        _figure(goal.measured) if goal.samples > 0 else "-",
        "" if goal.low is None else f"{math.floor(goal.low * 1000) / 1000:.3f}",
        _limit(goal),
        str(goal.samples),
        "yes" if goal.holds else "NO",
    )


def _figure(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.0f}"


def _limit(goal: Goal) -> str:
    limits = [
        f"{sign} {_figure(limit)}"
        for sign, limit in ((">=", goal.at_least), ("<=", goal.at_most))
        if limit is not None
    ]
    return " and ".join(limits)


def _write_json(
    path: Path, goals: Sequence[Goal], arguments: argparse.Namespace, counts: Mapping[str, int]
) -> None:
    options = {name: value for name, value in vars(arguments).items() if name != "json"}
    found = [
        {
            **asdict(goal),
            "measured": goal.measured if goal.samples else None,
            "holds": goal.holds,
        }
        for goal in goals
    ]
    content = {"options": options, "goals": found, "counts": dict(counts)}
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
