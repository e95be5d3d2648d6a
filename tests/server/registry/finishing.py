"""Real processes on one registry: killed at random moments, or racing to finish the same round.

As a script it prints its result as JSON; the processes are forks, so that sixty take seconds.

    python finishing.py crash FOLDER URL KILLS SEED
    python finishing.py race FOLDER URL ROUNDS
"""

import contextlib
import hashlib
import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

import numpy as np

from ophora_server.registry import (
    AdapterBlob,
    Receipt,
    Registry,
    RoundClosed,
    RoundOutcome,
    begin_round,
    finish_round,
    last_finished,
    open_run,
    read_adapter,
    receive,
    verify,
)
from ophora_server.registry.reports import show
from ophora_server.registry.sites import approve_site, join_site

RUN, SITES, ROUNDS = "run-1", ("site-a", "site-b"), 2000


def crash(folder, url, kills, seed):
    """Kill a process that finishes rounds in a loop; look at everything after each time.

    `lost` counts announced rounds that are not finished, `torn` ones that are not whole, `double`
    those with other than one counted update a site, `broken` verifications that did not hold.
    """
    rng = random.Random(seed)
    with Registry(folder, url=url) as registry:
        _prepare(registry)
        began = time.monotonic()
        for _ in range(3):
            _finish_next(registry)
        length_s, seen = min((time.monotonic() - began) / 3, 0.1), 3
    result = dict.fromkeys(("lost", "torn", "double", "broken", "kills", "cut_off", "swept"), 0)
    for number in range(kills):
        announced = _killed(folder, url, rng.uniform(0, 2 * length_s), begun=number % 4 != 0)
        result["kills"] += 1
        with Registry(folder, url=url) as registry:
            last = last_finished(registry, RUN).number
            result["lost"] += last < max(announced, default=seen)
            for place in range(seen + 1, last + 1):
                _look_at(registry, place, result)
            result["cut_off"] += show(registry, RUN, last + 1)["state"] == "open"
            result["swept"] += registry.sweep().num_files
            result["broken"] += not verify(registry).holds
            seen = last
    return {**result, "finished": seen}


def race(folder, url, rounds):
    """Two processes finish the same attempt of each round; how many of them did."""
    result = {"won": 0, "closed": 0, "broken": 0, "double": 0, "torn": 0}
    with Registry(folder, url=url) as registry:
        _prepare(registry)
    for _ in range(rounds):
        with Registry(folder, url=url) as registry:
            place = _begin_next(registry)
        waiting, starting = os.pipe()
        racers = [_racer(folder, url, place, waiting, starting) for _ in range(2)]
        os.close(waiting)
        os.close(starting)
        codes = [os.waitstatus_to_exitcode(os.waitpid(racer, 0)[1]) for racer in racers]
        result["won"] += codes.count(0)
        result["closed"] += codes.count(3)
        with Registry(folder, url=url) as registry:
            _look_at(registry, place.number, result)
            result["broken"] += not verify(registry).holds
    return result


def _prepare(registry):
    for site in SITES:
        join_site(registry, site, key_fingerprint=hashlib.sha256(site.encode()).hexdigest())
        approve_site(registry, site)
    open_run(registry, RUN, identity="0" * 64, settings={}, stages=["tpt"] * ROUNDS)


def _begin_next(registry):
    last = last_finished(registry, RUN)
    number = 1 if last is None else last.number + 1
    return begin_round(registry, RUN, number, stage="tpt", plan_digest="1" * 64)


def _finish_next(registry):
    place = _begin_next(registry)
    receipts = tuple(_receipt(place, site) for site in SITES)
    receive(registry, place, receipts[0])
    return finish_round(registry, place, _outcome(place, receipts)).number


def _receipt(place, site):
    digest = hashlib.sha256(f"{site} {place.number} {place.attempt}".encode()).hexdigest()
    return Receipt(site=site, attempt=place.attempt, code="ok", update_digest=digest)


def _outcome(place, receipts):
    tensors = {"lora_B": np.full((64, 16), place.number, np.float32)}
    return RoundOutcome(
        adapter=AdapterBlob.of(tensors),
        receipts=receipts,
        update_norm=1.0,
        server_state=f"state {place.number}".encode(),
        metrics={"number": float(place.number)},
    )


def _look_at(registry, number, result):
    found = show(registry, RUN, number)
    counted = [each["site"] for each in found["receipts"] if each["counted"]]
    result["double"] += sorted(counted) != sorted(SITES)
    tensors = read_adapter(registry, found["adapter_digest"])
    state = registry.blobs.get(found["server_state_digest"])
    whole = (tensors["lora_B"] == number).all() and state == f"state {number}".encode()
    result["torn"] += not (whole and found["metrics"] == {"number": float(number)})


def _killed(folder, url, after_s, *, begun):
    """The rounds that a process had announced when it was killed."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        with Registry(folder, url=url) as registry:
            while True:
                os.write(writing, f"{_finish_next(registry)}\n".encode())
    os.close(writing)
    if begun:
        select.select([reading], [], [])
    time.sleep(after_s)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    with os.fdopen(reading) as pipe:
        return [int(line) for line in pipe.read().splitlines(keepends=True) if line.endswith("\n")]


def _racer(folder, url, place, waiting, starting):
    process = os.fork()
    if process:
        return process
    os.close(starting)
    code = 1
    with contextlib.suppress(Exception), Registry(folder, url=url) as registry:
        outcome = _outcome(place, tuple(_receipt(place, site) for site in SITES))
        os.read(waiting, 1)  # until the parent closes its end
        try:
            finish_round(registry, place, outcome)
            code = 0
        except RoundClosed:
            code = 3
    os._exit(code)


if __name__ == "__main__":
    what, folder, url, *numbers = sys.argv[1:]
    run = {"crash": crash, "race": race}[what]
    json.dump(run(Path(folder), url, *map(int, numbers)), sys.stdout)
