"""A coordinator that is killed at any moment loses no finished round and counts none twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("finishing.py")


def run(*arguments: object) -> dict[str, int]:
    command = [sys.executable, "-W", "ignore", str(SCRIPT), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, check=False, timeout=300, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_kill_loses_or_doubles_a_finished_round(store):
    found = run("crash", store.folder, store.url, 60, 7)
    assert found["kills"] == 60
    assert (found["lost"], found["torn"], found["double"], found["broken"]) == (0, 0, 0, 0)
    assert found["finished"] > 40  # the loop got on between kills
    assert found["cut_off"] > 5  # and kills met rounds that were open


def test_of_two_processes_that_finish_a_round_one_does(store):
    found = run("race", store.folder, store.url, 6)
    assert (found["won"], found["closed"]) == (6, 6)
    assert (found["torn"], found["double"], found["broken"]) == (0, 0, 0)
