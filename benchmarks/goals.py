"""Goals of a benchmark: one table, one JSON file, one exit code for all of them.

A goal without a sample was not measured, and does not hold.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_HEADER = ("what", "measured", "goal", "of", "holds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """`measured` over `samples` is to be at least `at_least`; `what` says the unit."""

    what: str
    measured: float
    at_least: float
    samples: int

    @property
    def holds(self) -> bool:
        """True where it was measured and reached."""
        return self.samples > 0 and self.measured >= self.at_least


def share(what: str, hits: int, total: int, *, at_least: float = 1.0) -> Goal:
    """A goal for `hits` of `total`."""
    measured = hits / total if total else math.nan
    return Goal(what=what, measured=measured, at_least=at_least, samples=total)


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small sample, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    parser.add_argument("--check", action="store_true", help="exit 1 where a goal does not hold")
    return parser


def report(
    goals: Sequence[Goal],
    arguments: argparse.Namespace,
    counts: Mapping[str, int] | None = None,
) -> int:
    """Print the table and, below it, counts without a goal; the exit code."""
    rows = [_HEADER, *(_row(goal) for goal in goals)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for what, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        sys.stdout.write("  ".join([what.ljust(widths[0]), *cells]) + "\n")
    for name, count in (counts or {}).items():
        sys.stdout.write(f"{name}: {count}\n")
    if arguments.json is not None:
        _write_json(arguments.json, goals, arguments, counts or {})
    return int(arguments.check and not all(goal.holds for goal in goals))


def _row(goal: Goal) -> tuple[str, str, str, str, str]:
    measured = f"{goal.measured:.3f}" if goal.samples else "-"
    return (
        goal.what,
        measured,
        f">= {goal.at_least:.3f}",
        str(goal.samples),
        "yes" if goal.holds else "NO",
    )


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
