"""Measure training against its goals: a step, the common recipe, resumption, quality.

    python benchmarks/tuning.py [--quick] [--check] [--json FILE] [--only PART,...] [--seed 7]

The real architecture of the full-size base is benchmarks/real_architecture.py, generation is
benchmarks/sampling.py.
"""

import importlib
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from goals import Goal, format_table, make_parser, report

PARTS = ("steps", "recipe", "resume", "quality")


def main() -> int:
    """Run the parts that were asked for, print one table; the exit code."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # figures are of one core
    parser = make_parser(__doc__)
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        parser.error(f"--only {unknown[0]}: must be of {', '.join(PARTS)}")
    goals: list[Goal] = []
    for part in chosen:
        sys.stderr.write(f"{part}\n")
        start_s = time.monotonic()
        module = importlib.import_module(f"tuning_parts.{part}")
        with tempfile.TemporaryDirectory(prefix=f"{part}-") as name:
            found = module.measure(quick=arguments.quick, folder=Path(name), seed=arguments.seed)
        rows = [replace(goal, what=f"{part}: {goal.what}") for goal in found]
        sys.stderr.write(format_table(rows) + f"    {time.monotonic() - start_s:.0f} s\n")
        goals += rows
    return report(goals, arguments)


if __name__ == "__main__":
    sys.exit(main())
