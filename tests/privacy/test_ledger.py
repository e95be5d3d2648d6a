"""The ledger spends before training, composes for ever and is bound to its site and its clock."""

import json
import math
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ophora_privacy import ledger_chain
from ophora_privacy.accountant import epsilon_of
from ophora_privacy.errors import (
    BudgetExceeded,
    InvalidPlan,
    LedgerClock,
    LedgerForeign,
    LedgerUnavailable,
)
from ophora_privacy.ledger import Ledger
from ophora_privacy.ledger_head import LedgerReceipt
from ophora_privacy.plan import PrivacyPlan, SharedNoise

PLAN = PrivacyPlan(
    clip_norm=1.0,
    noise_multiplier=1.0,
    sampling_rate=0.1,
    steps_per_round=10,
    delta=1e-5,
    clips_per_patient=1,
    normaliser=1.0,
)


def _open(path: Path, cap: float = 8.0, site: str = "a") -> Ledger:
    return Ledger(path, site=site, cap=cap, delta=1e-5)


def _reserve(ledger: Ledger, number: int, run_id: str = "run", stage: str = "tpt") -> float:
    return ledger.reserve(PLAN, run_id=run_id, stage=stage, round=number).epsilon.value


def test_stages_runs_repeats_and_restarts_add_up(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    totals = [_reserve(_open(path), 1)]
    totals.append(_reserve(_open(path), 1))  # the same round again
    totals.append(_reserve(_open(path), 1, run_id="another run"))
    totals.append(_reserve(_open(path), 1, stage="p2ft"))
    assert totals == sorted(set(totals))
    assert _open(path).epsilon().value == totals[-1] == epsilon_of([PLAN.event()] * 4, 1e-5).value


def test_a_locked_ledger_is_no_reason_for_an_old_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_chain, "_WAIT_S", 0.1)
    ledger = _open(tmp_path / "ledger.sqlite")
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked") as refused:
        _reserve(ledger, 1)
    assert "copy" not in str(refused.value)
    other.close()
    assert ledger.spends() == []


def test_past_the_cap_nothing_is_written(tmp_path: Path) -> None:
    ledger = _open(tmp_path / "ledger.sqlite", cap=5.0)
    assert _reserve(ledger, 1) <= 5.0
    assert _reserve(ledger, 2) <= 5.0
    before = ledger.receipt()
    heavy = replace(PLAN, noise_multiplier=0.3)
    with pytest.raises(BudgetExceeded, match=r"cap is 5\.00"):
        ledger.reserve(heavy, run_id="run", stage="tpt", round=3)
    with pytest.raises(BudgetExceeded, match="unlimited"):
        ledger.reserve(replace(PLAN, noise_multiplier=0.0), run_id="run", stage="tpt", round=3)
    assert len(ledger.spends()) == 2
    assert ledger.receipt() == before


@pytest.mark.slow
def test_a_process_killed_in_training_has_spent(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    script = (
        "import os, signal, sys; sys.path[:0] = [sys.argv[2]]\n"
        "from pathlib import Path\n"
        "from test_ledger import PLAN\n"
        "from ophora_privacy.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), site='a', cap=8.0, delta=1e-5)\n"
        "ledger.reserve(PLAN, run_id='run', stage='tpt', round=1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", script, str(path), here], check=False, timeout=120)
    (spend,) = _open(path).spends()
    assert not spend.settled
    assert _open(path).epsilon().value > 0


def test_settling_gives_nothing_back(tmp_path: Path) -> None:
    ledger = _open(tmp_path / "ledger.sqlite")
    reservation = ledger.reserve(PLAN, run_id="run", stage="tpt", round=1)
    ledger.settle(reservation, steps=3)
    assert ledger.spends()[0].settled
    assert ledger.epsilon() == reservation.epsilon


def test_an_unlimited_site_still_records(tmp_path: Path) -> None:
    ledger = _open(tmp_path / "ledger.sqlite", cap=math.inf)
    _reserve(ledger, 1)
    assert 0 < ledger.epsilon().value < math.inf
    ledger.reserve(replace(PLAN, noise_multiplier=0.0), run_id="run", stage="tpt", round=2)
    assert ledger.epsilon().value == math.inf
    receipt = ledger.receipt()
    assert LedgerReceipt.from_json(receipt.to_json()) == receipt


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"cap": 0.0}, "epsilon_cap"), ({"site": ""}, "site"), ({"delta": 0.0}, "delta")],
)
def test_a_ledger_without_cap_delta_or_site_is_refused(
    tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    values = {"site": "a", "cap": 8.0, "delta": 1e-5, **changed}
    with pytest.raises(InvalidPlan, match=message):
        Ledger(tmp_path / "other.sqlite", **values)  # type: ignore[arg-type]


def test_another_sites_ledger_is_refused_and_the_code_is_not_in_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    _open(path, site="northlight")
    assert b"northlight" not in path.read_bytes() + (tmp_path / "ledger.head").read_bytes()
    with pytest.raises(LedgerForeign, match="another site's"):
        _open(path, site="b")
    assert _open(path, site="northlight").spends() == []


def test_two_new_ledgers_are_not_the_same(tmp_path: Path) -> None:
    ids = [_open(tmp_path / f"{name}.sqlite").receipt().ledger_id for name in "ab"]
    assert ids[0] != ids[1]


def test_a_ledger_of_before_identities_keeps_its_spend(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(ledger_chain._SCHEMA)
    body = {"kind": "reserve", "run_id": "r", "stage": "tpt", "round": 1, "plan": PLAN.to_dict()}
    text = json.dumps(body, sort_keys=True)
    row = (1, text, "0" * 64, ledger_chain._hash(1, "0" * 64, text))
    connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", row)
    connection.close()
    assert _open(path).epsilon() == epsilon_of([PLAN.event()], 1e-5)
    with pytest.raises(LedgerForeign):
        _open(path, site="b")
    assert _reserve(_open(path), 2) > epsilon_of([PLAN.event()], 1e-5).value


def test_a_clock_that_was_set_back_reserves_nothing(tmp_path: Path) -> None:
    times = [1_000_000.0]
    ledger = Ledger(
        tmp_path / "ledger.sqlite", site="a", cap=8.0, delta=1e-5, clock=lambda: times[0]
    )
    _reserve(ledger, 1)
    times[0] -= 299
    _reserve(ledger, 2)  # small corrections are usual
    times[0] -= 2
    with pytest.raises(LedgerClock, match="301 s behind"):
        _reserve(ledger, 3)
    assert [spend.time_s for spend in ledger.spends()] == [1_000_000, 999_701]


def test_after_a_wrong_clock_was_corrected_the_correction_is_on_record(tmp_path: Path) -> None:
    times = [9_000_000.0]
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path, site="a", cap=8.0, delta=1e-5, clock=lambda: times[0])
    _reserve(ledger, 1)
    spent, times[0] = ledger.epsilon(), 1_000_000.0
    before = ledger.receipt()
    ledger.accept_clock()
    assert ledger.receipt().seq == before.seq + 1
    assert ledger.epsilon() == spent
    _reserve(ledger, 2)


def test_shared_noise_is_accounted_for_with_its_assumption(tmp_path: Path) -> None:
    ledger = _open(tmp_path / "ledger.sqlite")
    shared = SharedNoise(noise_multiplier=3.0, honest_sites=3)
    ledger.reserve(PLAN, run_id="run", stage="tpt", round=1, shared=shared)
    (spend,) = ledger.spends()
    assert spend.assumes == "3 honest sites"
    assert spend.event == replace(PLAN.event(), noise_multiplier=3.0)
    assert spend.plan == PLAN
    assert ledger.epsilon().value < epsilon_of([PLAN.event()], 1e-5).value


def test_trials_and_audits_are_noted_from_a_closed_list_and_cost_the_same(tmp_path: Path) -> None:
    ledger = _open(tmp_path / "ledger.sqlite")
    ledger.reserve(PLAN, run_id="run", stage="tpt", round=1, note="trial")
    assert ledger.spends()[0].note == "trial"
    assert ledger.epsilon() == epsilon_of([PLAN.event()], 1e-5)
    with pytest.raises(InvalidPlan, match="note='Mary Poe': must be one of trial, re-run, audit"):
        ledger.reserve(PLAN, run_id="run", stage="tpt", round=2, note="Mary Poe")  # type: ignore[arg-type]
    assert len(ledger.spends()) == 1
