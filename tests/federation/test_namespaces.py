"""Coordinator and four sites with a network link each; one is cut in the middle of a round."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from namespaces import SpreadRun, spread_run, why_not

pytestmark = pytest.mark.slow

SITES = ("a", "b", "c", "d")
ROUNDS = 3
LIMIT_S = 600.0  # generous: a machine may do other things
CUT_S = 10.0


@pytest.fixture
def spread(tmp_path: Path) -> Iterator[SpreadRun]:
    if reason := why_not():
        pytest.skip(reason)
    quorum = {"min_sites": 3, "wait_s": 300.0, "round_s": 300.0}
    with spread_run(tmp_path, SITES, ROUNDS, tune_s=2.0, **quorum) as made:
        yield made
    assert made.run.left_over() == []


def test_a_site_that_is_cut_off_in_mid_round_rejoins(spread: SpreadRun) -> None:
    run = spread.run
    run.wait_for("tuning", lambda: run.is_at(1, "tuning"), within_s=LIMIT_S)
    spread.network.cut("b")
    time.sleep(CUT_S)
    spread.network.join("b")
    run.finish(within_s=LIMIT_S)
    found = run.replay()
    assert found.faults == []
    assert found.finished == ROUNDS
    last = [event for event in run.run.events() if event["event"] == "round-finished"][-1]
    assert last["sites"] == list(SITES)
    assert run.starts == 1
