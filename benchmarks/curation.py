"""Measure curation against its goals: de-identification, decisions, speed, damage, restarts.

    python benchmarks/curation.py [--quick] [--check] [--json FILE] [--only PART,...] [--seed 7]
                                  [--held-out c]

Every part makes its own material from the seed, measures it in one run and prints its rows. A
part that fails prints one row as not measured, and the others still run.
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from goals import Goal, format_table, make_parser, not_measured, report

PARTS = (
    "text",
    "decisions",
    "identifiers",
    "shots",
    "motion",
    "damage",
    "speed",
    "memory",
    "restart",
    "hostile",
)


def main() -> int:
    """Run the parts that were asked for, print one table; the exit code."""
    arguments = _read_arguments()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # figures are of one core
    goals: list[Goal] = []
    for number, part in enumerate(arguments.only, start=1):
        sys.stderr.write(f"[{number}/{len(arguments.only)}] {part}\n")
        start_s = time.monotonic()
        goals += run_part(part, arguments)
        sys.stderr.write(f"    {time.monotonic() - start_s:.0f} s\n")
    return report(goals, arguments)


def run_part(part: str, arguments: argparse.Namespace) -> list[Goal]:
    """The part's goals, its name before each."""
    options = {"held_out": arguments.held_out} if part == "text" else {}
    try:
        module = importlib.import_module(f"curation_parts.{part}")
        with tempfile.TemporaryDirectory(prefix=f"{part}-") as name:
            found: Sequence[Goal] = module.measure(
                quick=arguments.quick, folder=Path(name), seed=arguments.seed, **options
            )
    except Exception as error:  # one part's failure is a row, not the end of the others
        traceback.print_exc()
        found = [not_measured(f"failed with {type(error).__name__}")]
    goals = [replace(goal, what=f"{part}: {goal.what}") for goal in found]
    sys.stderr.write(format_table(goals))
    return goals


def _read_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--only", type=_parts, default=PARTS, metavar="PART,...")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--held-out",
        choices=("a", "b", "c"),
        default="c",
        help="which sentences the text part reads",
    )
    return parser.parse_args()


def _parts(text: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in text.split(","))
    for part in parts:
        if part not in PARTS:
            message = f"{part!r}: must be of {', '.join(PARTS)}"
            raise argparse.ArgumentTypeError(message)
    return parts


if __name__ == "__main__":
    sys.exit(main())
