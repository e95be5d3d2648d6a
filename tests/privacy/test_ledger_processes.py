"""Real processes: killed at a hundred random moments, and racing for the last of the budget."""

from pathlib import Path

import pytest

import ledger_processes


@pytest.mark.slow
def test_a_crash_at_any_moment_leaves_no_round_out_of_the_ledger(tmp_path: Path) -> None:
    found = ledger_processes.crash(tmp_path, runs=100, seed=11)
    assert found["kills"] == 100
    assert (found["lost"], found["unopened"]) == (0, 0)
    assert found["epsilon"] >= found["true_epsilon"] > 0
    assert found["announced"] >= 20
    assert found["unsettled"] > 0  # some were cut off between spending and settling


@pytest.mark.slow
def test_processes_that_reserve_at_once_never_pass_the_cap_together(tmp_path: Path) -> None:
    found = ledger_processes.race(tmp_path, processes=8)
    assert found["passed"] == found["entries"] == found["granted"]
    assert found["epsilon"] <= found["cap"]
