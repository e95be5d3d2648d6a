"""Real processes on one ledger: killed at random moments, or racing for the last of the budget.

As a script it prints its result as JSON; the accountant is loaded once and the processes are forks,
so that a hundred of them take seconds.

    python ledger_processes.py crash FOLDER RUNS SEED
    python ledger_processes.py race FOLDER PROCESSES
"""

import contextlib
import json
import math
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from ophora_privacy.accountant import epsilon_of
from ophora_privacy.errors import BudgetExceeded
from ophora_privacy.ledger import Ledger
from ophora_privacy.ledger_head import read_head
from ophora_privacy.plan import PrivacyPlan

PLAN = PrivacyPlan(
    clip_norm=1.0,
    noise_multiplier=0.05,  # accounted for in no time: a kill meets the file, not the accountant
    sampling_rate=0.1,
    steps_per_round=1,
    delta=1e-5,
    clips_per_patient=1,
    normaliser=1.0,
)
_ROUNDS_GRANTED = 3
_LIMIT_S = 300.0


def crash(folder: Path, runs: int, seed: int) -> dict[str, float]:
    """Kill a process that spends in a loop, `runs` times over one ledger, in a fresh interpreter.

    `lost` counts announced rounds that the ledger doesn't hold, `unopened` ledgers that were
    refused after a kill, `behind` heads that were behind their ledger right after one, `unsettled`
    rounds that were cut off.
    """
    return _run("crash", str(folder), str(runs), str(seed))


def race(folder: Path, processes: int) -> dict[str, float]:
    """Let so many processes reserve at once where only `granted` rounds fit under the cap."""
    return _run("race", str(folder), str(processes))


def _run(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", __file__, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, check=True, timeout=_LIMIT_S, capture_output=True, text=True, env=environment
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _crash(folder: Path, runs: int, seed: int) -> dict[str, float]:
    rng, ledger = random.Random(seed), _ledger(folder, math.inf)
    epsilon_of([PLAN.event()], 1e-5)  # loads the accountants before the forks
    length_s = _length_of_a_round(folder)
    announced: list[int] = []
    result = {"kills": 0, "lost": 0, "unopened": 0, "behind": 0}
    for number in range(runs):
        announced += _killed(folder, rng.uniform(0, 3 * length_s), spending=bool(number % 2))
        result["kills"] += 1
        head = read_head(ledger.path)
        try:
            spends = _ledger(folder, math.inf).spends()
        except Exception:
            result["unopened"] += 1
            continue
        result["behind"] += head is not None and head != read_head(ledger.path)
        result["lost"] += len(set(announced) - {spend.seq for spend in spends})
    spent = epsilon_of([PLAN.event()] * len(announced), 1e-5)
    return {
        **result,
        "announced": len(announced),
        "unsettled": sum(not spend.settled for spend in ledger.spends()),
        "epsilon": ledger.epsilon().value,
        "true_epsilon": spent.value,
    }


def _length_of_a_round(folder: Path) -> float:
    start_s = time.monotonic()
    ledger = _ledger(folder, math.inf)
    for number in range(3):
        reservation = ledger.reserve(PLAN, run_id="calm", stage="tpt", round=number)
        ledger.settle(reservation, steps=1)
    return (time.monotonic() - start_s) / 3


def _killed(folder: Path, after_s: float, *, spending: bool) -> list[int]:
    """The entries that a process had announced when it was killed.

    It is killed so long after its start or, when `spending`, after its first announcement, which a
    busy machine may put off for longer than the rounds took while it was quiet.
    """
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        _spend_for_ever(folder, writing)
    os.close(writing)
    if spending:
        select.select([reading], [], [])
    time.sleep(after_s)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with os.fdopen(reading) as pipe:
        return [int(line) for line in pipe.read().splitlines(keepends=True) if line.endswith("\n")]


def _spend_for_ever(folder: Path, pipe: int) -> None:
    ledger = _ledger(folder, math.inf)
    number = 0
    while True:
        number += 1
        reservation = ledger.reserve(PLAN, run_id=str(os.getpid()), stage="tpt", round=number)
        os.write(pipe, f"{reservation.seq}\n".encode())  # from here on it trains
        ledger.settle(reservation, steps=1)


def _race(folder: Path, processes: int) -> dict[str, float]:
    cap = epsilon_of([PLAN.event()] * _ROUNDS_GRANTED, 1e-5).value * 1.001
    ledger = _ledger(folder, cap)
    waiting, starting = os.pipe()
    racers = []
    for number in range(processes):
        process = os.fork()
        if process == 0:
            os.close(starting)
            os.read(waiting, 1)  # until the parent closes its end
            with contextlib.suppress(BudgetExceeded):
                _ledger(folder, cap).reserve(PLAN, run_id="race", stage="tpt", round=number)
                os._exit(0)
            os._exit(1)
        racers.append(process)
    os.close(starting)
    passed = sum(os.waitpid(racer, 0)[1] == 0 for racer in racers)
    return {
        "granted": _ROUNDS_GRANTED,
        "passed": passed,
        "entries": len(ledger.spends()),
        "epsilon": ledger.epsilon().value,
        "cap": cap,
    }


def _ledger(folder: Path, cap: float) -> Ledger:
    return Ledger(folder / "ledger.sqlite", site="a", cap=cap, delta=1e-5)


if __name__ == "__main__":
    if sys.argv[1] == "crash":
        found = _crash(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        found = _race(Path(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps(found))
