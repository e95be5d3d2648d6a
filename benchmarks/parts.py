"""A benchmark in parts: which were asked for, one table each, one table and exit code for all."""

import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from goals import Goal, format_table, make_parser, report


def run_parts(description: str | None, *, package: str, parts: Sequence[str]) -> int:
    """Run `package.PART.measure` of every part that the command line asks for; the exit code."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # figures are of one core
    parser = make_parser(description)
    parser.add_argument("--only", default=",".join(parts), metavar="PART,...")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    unknown = [part for part in chosen if part not in parts]
    if unknown:
        parser.error(f"--only {unknown[0]}: must be of {', '.join(parts)}")
    goals: list[Goal] = []
    for part in chosen:
        sys.stderr.write(f"{part}\n")
        start_s = time.monotonic()
        module = importlib.import_module(f"{package}.{part}")
        with tempfile.TemporaryDirectory(prefix=f"{part}-") as name:
            found = module.measure(quick=arguments.quick, folder=Path(name), seed=arguments.seed)
            _keep_pictures(Path(name), arguments.json)
        rows = [replace(goal, what=f"{part}: {goal.what}") for goal in found]
        sys.stderr.write(format_table(rows) + f"    {time.monotonic() - start_s:.0f} s\n")
        goals += rows
    return report(goals, arguments)


def _keep_pictures(folder: Path, json: Path | None) -> None:
    """Pictures that a part drew stay beside the figures."""
    if json is not None:
        for picture in folder.glob("*.png"):
            shutil.copy(picture, json.with_name(f"{json.stem}-{picture.name}"))
