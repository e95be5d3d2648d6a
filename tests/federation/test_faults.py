"""Processes die in the middle of a round, and the rounds go on by themselves."""

from collections.abc import Iterator
from typing import Any

import pytest

import faults
from seeded_run import SeededRun, seeded_run

pytestmark = pytest.mark.slow

LIMIT_S = 600.0  # generous: a machine may do other things
ROUNDS = 500  # more than there is time for


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeededRun]:
    """A federation of two sites in the middle of its rounds; none of it is left afterwards."""
    folder = tmp_path_factory.mktemp("faults")
    quorum = {"min_sites": 1, "wait_s": 300.0, "round_s": 300.0}
    with seeded_run(folder, ("a", "b"), ROUNDS, tune_s=2.0, **quorum) as run:
        yield run
        assert run.starts == 1
        assert run.is_running()
    assert run.left_over() == []


def _in_mid_round(run: SeededRun) -> int:
    """Wait until a round that wasn't begun before is being tuned; its number."""
    number = run.rounds_done() + 1
    run.wait_for("tuning", lambda: run.is_at(number, "tuning"), within_s=LIMIT_S)
    return number


def _finished(run: SeededRun) -> dict[int, dict[str, Any]]:
    return {e["round"]: e for e in run.run.events() if e["event"] == "round-finished"}


def _wait_for_round(run: SeededRun, number: int) -> None:
    run.wait_for(f"round {number}", lambda: run.rounds_done() >= number, within_s=LIMIT_S)
    assert run.replay().faults == []


def _restarted(run: SeededRun) -> list[str]:
    return [event["process"] for event in run.told() if event["event"] == "restarted"]


def test_a_killed_superlink_costs_nothing(running: SeededRun) -> None:
    number = _in_mid_round(running)
    assert faults.kill(running, "superlink") == 1
    _wait_for_round(running, number + 1)
    assert "superlink" in _restarted(running)


def test_a_killed_serverapp_has_its_round_run_again(running: SeededRun) -> None:
    number = _in_mid_round(running)
    before = running.replay().finished
    assert faults.kill(running, "serverapp") == 1
    _wait_for_round(running, number + 1)
    assert running.replay().finished > before
    assert "rounds" in _restarted(running)


def test_a_killed_supernode_and_trainer_cost_their_update_and_come_back(
    running: SeededRun,
) -> None:
    number = _in_mid_round(running)
    assert faults.kill(running, "supernode", "b") == 1
    assert faults.kill(running, "trainer", "b") == 1
    _wait_for_round(running, number)
    running.wait_for(
        "site b",
        lambda: any("b" in each["sites"] for n, each in _finished(running).items() if n > number),
        within_s=LIMIT_S,
    )
    assert running.replay().faults == []
    assert {"supernode of b", "trainer of b"} <= set(_restarted(running))
