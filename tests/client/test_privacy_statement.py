"""The statement says only what the ledger holds, and says what it leaves out."""

import math
from datetime import date
from pathlib import Path

from ophora_client.privacy_statement import render_statement
from ophora_privacy.ledger import Ledger
from ophora_privacy.plan import PrivacyPlan, SharedNoise

PLAN = PrivacyPlan(
    clip_norm=0.5,
    noise_multiplier=2.0,
    sampling_rate=0.1,
    steps_per_round=10,
    delta=1e-5,
    clips_per_patient=2,
    normaliser=4.0,
)


def _ledger(tmp_path: Path, cap: float = 8.0) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", site="a", cap=cap, delta=1e-5)


def _text(ledger: Ledger) -> str:
    return render_statement(ledger, code="a", made_on=date(2026, 11, 28))


def test_names_unit_neighbours_parameters_mechanism_and_head(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    for number in (1, 2):
        ledger.settle(
            ledger.reserve(PLAN, run_id="secret-run", stage="tpt", round=number), steps=10
        )
    ledger.reserve(PLAN, run_id="secret-run", stage="p2ft", round=3, note="trial")
    text = _text(ledger)
    assert "| unit of privacy | one patient:" in text
    assert "| neighbouring data sets | add or remove one patient |" in text
    assert f"| epsilon spent | {ledger.epsilon().value:.3f} |" in text
    assert "| delta | 1e-05 |" in text
    assert "| epsilon granted for life | 8 |" in text
    assert "| 2 | 0.1 | 0.5 | 2 | 30 |" in text
    assert "All 3 rounds" in text
    assert "(rounds noted as such: 1;" in text
    assert "counted in full: 1)" in text
    assert ledger.receipt().head_hash in text
    assert "dp-accounting 0.6" in text
    assert "they agree" in text
    assert "secret-run" not in text


def test_says_what_is_not_covered_and_whom_it_trusts(tmp_path: Path) -> None:
    text = _text(_ledger(tmp_path))
    for words in ("share_loss", "two pseudonyms", "side channels", "another site", "--local"):
        assert words in text.split("## What is not covered")[1]
    assert "trusts this site's machines" in text
    assert "| epsilon spent | 0.000 |" in text


def test_no_noise_is_stated_as_no_bound(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path, cap=math.inf)
    plan = PrivacyPlan.from_dict({**PLAN.to_dict(), "noise_multiplier": 0.0})
    ledger.reserve(plan, run_id="run", stage="tpt", round=1)
    text = _text(ledger)
    assert "| epsilon spent | infinite: no bound |" in text
    assert "| epsilon granted for life | no cap |" in text


def test_shared_noise_is_stated_with_what_it_assumes(tmp_path: Path) -> None:
    ledger = _ledger(tmp_path)
    assert "honest sites" not in _text(ledger)
    shared = SharedNoise(noise_multiplier=3.0, honest_sites=4)
    ledger.reserve(PLAN, run_id="run", stage="tpt", round=1, shared=shared)
    assert "holds only with at least 4 honest sites" in _text(ledger)
