"""What the benchmark of whole federations judges by, on figures made up for it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import federation
from federation_parts.resident import ResidentMemory
from federation_parts.scale import Figures, goals


def figures(*rows: tuple[int, float, int]) -> list[Figures]:
    return [Figures(sites=n, seconds=s, over_idle=mb * 10**6) for n, s, mb in rows]


def held(*rows: tuple[int, float, int]) -> list[bool]:
    return [goal.holds for goal in goals(figures(*rows))[:2]]


def test_time_is_judged_by_site_and_memory_against_the_fewest_sites() -> None:
    assert held((10, 2.0, 50), (100, 10.0, 52), (300, 30.0, 54), (1000, 120.0, 59)) == [True, True]
    assert held((10, 2.0, 50), (100, 10.0, 52), (300, 30.0, 54), (1000, 130.0, 59)) == [False, True]
    assert held((10, 2.0, 50), (100, 10.0, 52), (300, 30.0, 54), (1000, 120.0, 61)) == [True, False]


def test_an_allocation_shows_over_what_was_there_before() -> None:
    kept = np.ones(10 << 20)  # 80 MB, before
    with ResidentMemory(os.getpid) as memory:
        time.sleep(0.2)
        begin = time.time()
        more = np.ones(8 << 20)  # 64 MB
        time.sleep(0.2)
        end = time.time()
    assert kept.sum() + more.sum() > 0
    assert 60e6 < memory.over_idle(begin, end) < 75e6


def test_a_part_that_is_not_there_is_named() -> None:
    command = [sys.executable, str(Path(federation.__file__)), "--only", "beauty"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert f"--only beauty: must be of {federation.PARTS[0]}" in answer.stderr
