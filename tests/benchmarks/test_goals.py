import argparse
import json
import math
from pathlib import Path

import pytest

from goals import Goal, format_table, lower_bound, not_measured, report, share


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"check": True, "json": None, "quick": False, **given})


def test_a_limit_binds_from_its_own_side() -> None:
    least = {"what": "recall", "samples": 9, "at_least": 0.9}
    most = {"what": "memory, MB", "samples": 9, "at_most": 300.0}
    assert Goal(measured=0.9, **least).holds
    assert not Goal(measured=0.89, **least).holds
    assert Goal(measured=300.0, **most).holds
    assert not Goal(measured=301.0, **most).holds


@pytest.mark.parametrize("measured", [1.0, math.nan])
def test_what_was_not_measured_never_holds(measured: float) -> None:
    assert not Goal(what="recall", measured=measured, samples=0, at_least=0.0).holds
    assert not not_measured("failed").holds
    assert not Goal(what="ratio", measured=math.nan, samples=3, at_most=1.0).holds


@pytest.mark.parametrize(
    ("hits", "total", "low"),  # scipy.stats.beta.ppf(0.05, hits, total - hits + 1)
    [(300, 300, 0.990064), (298, 300, 0.979165), (0, 10, 0.0), (5, 10, 0.222441), (1, 1, 0.05)],
)
def test_the_lower_bound_is_exact(hits: int, total: int, low: float) -> None:
    assert lower_bound(hits, total) == pytest.approx(low, abs=2e-6)


def test_the_bound_is_printed_only_where_a_goal_has_one() -> None:
    plain = share("kept", 9, 10, at_least=0.9)
    bounded = share("withheld", 300, 300, at_least=0.99, bounded=True)
    assert "low" not in format_table([plain])
    assert "low 95 %" in format_table([plain, bounded])
    assert "0.990" in format_table([bounded]).splitlines()[1]


def test_the_exit_code_and_the_file_say_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    goals = [share("kept", 9, 10, at_least=0.9), not_measured("speed: failed with OSError")]
    path = tmp_path / "figures.json"
    assert report(goals, options(json=path)) == 1
    assert report(goals, options(check=False)) == 0
    assert report(goals[:1], options()) == 0
    written = json.loads(path.read_text())
    assert [goal["holds"] for goal in written["goals"]] == [True, False]
    assert written["goals"][1]["measured"] is None
    assert "NO" in capsys.readouterr().out
