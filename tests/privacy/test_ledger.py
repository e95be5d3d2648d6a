"""The ledger spends before training, composes for ever and notices tampering."""

import math
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ophora_privacy import ledger as ledger_module
from ophora_privacy.errors import BudgetExceeded, InvalidPlan, LedgerCorrupt, LedgerUnavailable
from ophora_privacy.ledger import Ledger
from ophora_privacy.plan import PrivacyPlan

PLAN = PrivacyPlan(
    clip_norm=1.0,
    noise_multiplier=1.0,
    sampling_rate=0.1,
    steps_per_round=10,
    delta=1e-5,
    clips_per_patient=1,
    normaliser=1.0,
)


def _reserve(ledger: Ledger, number: int, run_id: str = "run") -> float:
    return ledger.reserve(PLAN, run_id=run_id, stage="tpt", round=number).epsilon.value


def test_reservations_add_up_across_runs_and_restarts(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    first = _reserve(Ledger(path, cap=8.0, delta=1e-5), 1)
    second = _reserve(Ledger(path, cap=8.0, delta=1e-5), 1, run_id="another run")
    assert second > first
    assert Ledger(path, cap=8.0, delta=1e-5).epsilon().value == second


def test_a_locked_ledger_is_no_reason_for_an_old_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "_WAIT_S", 0.1)
    ledger = Ledger(tmp_path / "ledger.sqlite", cap=8.0, delta=1e-5)
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked") as refused:
        _reserve(ledger, 1)
    assert "backup" not in str(refused.value)
    other.close()
    assert ledger.spends() == []


def test_past_the_cap_nothing_is_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", cap=5.0, delta=1e-5)
    assert _reserve(ledger, 1) <= 5.0
    assert _reserve(ledger, 2) <= 5.0
    heavy = replace(PLAN, noise_multiplier=0.3)
    with pytest.raises(BudgetExceeded, match=r"cap is 5\.00"):
        ledger.reserve(heavy, run_id="run", stage="tpt", round=3)
    assert len(ledger.spends()) == 2


def test_a_process_killed_in_training_has_spent(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    script = (
        "import os, signal, sys; sys.path[:0] = [sys.argv[2]]\n"
        "from pathlib import Path\n"
        "from test_ledger import PLAN\n"
        "from ophora_privacy.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), cap=8.0, delta=1e-5)\n"
        "ledger.reserve(PLAN, run_id='run', stage='tpt', round=1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", script, str(path), here], check=False, timeout=60)
    (spend,) = Ledger(path, cap=8.0, delta=1e-5).spends()
    assert not spend.settled
    assert Ledger(path, cap=8.0, delta=1e-5).epsilon().value > 0


def test_settling_gives_nothing_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", cap=8.0, delta=1e-5)
    reservation = ledger.reserve(PLAN, run_id="run", stage="tpt", round=1)
    ledger.settle(reservation, steps=3)
    assert ledger.spends()[0].settled
    assert ledger.epsilon() == reservation.epsilon


def test_an_unlimited_site_still_records(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", cap=math.inf, delta=1e-5)
    _reserve(ledger, 1)
    assert 0 < ledger.epsilon().value < math.inf
    with pytest.raises(InvalidPlan, match="epsilon_cap"):
        Ledger(tmp_path / "other.sqlite", cap=0.0, delta=1e-5)


def test_entries_can_be_neither_changed_nor_removed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, cap=8.0, delta=1e-5)
    _reserve(ledger, 1)
    _reserve(ledger, 2)
    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("DELETE FROM entries")
    connection.execute("DROP TRIGGER no_delete")
    connection.execute("DELETE FROM entries WHERE seq = 1")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerCorrupt, match="entry 1"):
        ledger.epsilon()
    with pytest.raises(LedgerCorrupt):
        Ledger(path, cap=8.0, delta=1e-5)


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerCorrupt):
        Ledger(path, cap=8.0, delta=1e-5)
