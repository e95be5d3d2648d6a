"""`ophora site budget`: the table, the plot, the proof of the chain and the receipt."""

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ophora_client.budget_cli import budget_words
from ophora_client.budget_plot import draw_budget, epsilon_over_rounds
from ophora_client.errors import SiteInvalid
from ophora_client.site import Site, init_site
from ophora_client.site_cli import app
from ophora_privacy.accountant import Epsilon
from ophora_privacy.errors import LedgerRolledBack
from ophora_privacy.plan import PrivacyPlan

PLAN = PrivacyPlan(
    clip_norm=1.0,
    noise_multiplier=2.0,
    sampling_rate=0.1,
    steps_per_round=10,
    delta=1e-5,
    clips_per_patient=2,
    normaliser=4.0,
)


def _run(site: Site, *arguments: str) -> tuple[int, str]:
    command = ["budget", *arguments, "--site", str(site.folder)]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "140"}, catch_exceptions=False)
    return result.exit_code, result.output


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = init_site(tmp_path / "site", code="a")
    ledger = made.open_ledger()
    for stage, number in (("tpt", 1), ("tpt", 2), ("p2ft", 3)):
        reservation = ledger.reserve(PLAN, run_id="run-1", stage=stage, round=number)
        if stage == "tpt":
            ledger.settle(reservation, steps=10)
    ledger.reserve(PLAN, run_id="run-2", stage="tpt", round=1, note="trial")
    return made


def test_shows_what_each_run_and_stage_spent_and_what_is_left(site: Site) -> None:
    code, shown = _run(site)
    assert code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines()]
    rows = [row for row in rows if row and row[0].startswith("run-")]
    assert [row[:5] for row in rows] == [
        ["run-1", "tpt", "2", "0", "20"],
        ["run-1", "p2ft", "1", "1", "10"],
        ["run-2", "tpt", "1", "1", "10"],
    ]
    assert rows[2][-1] == "trial"
    spent = site.open_ledger().epsilon().value
    assert rows[2][-2] == f"{spent:.2f}"
    assert f"spent: epsilon {spent:.2f} (pld): whether a patient took part" in shown
    assert f"left:  {8 - spent:.2f} of 8" in shown


def test_a_site_that_never_trained_has_all_of_its_budget(tmp_path: Path) -> None:
    _, shown = _run(init_site(tmp_path / "site", code="a"))
    assert "spent: nothing" in shown
    assert "left:  8.00 of 8" in shown


def test_words_for_no_cap_and_for_a_cap_that_is_passed() -> None:
    spent = Epsilon(value=9.0, delta=1e-5, method="pld")
    assert "no cap is set" in budget_words(spent, float("inf"))[-1]
    assert "left:  0.00 of 8" in budget_words(spent, 8.0)


def test_a_chain_that_holds_is_proved_with_its_head(site: Site, tmp_path: Path) -> None:
    code, printed = _run(site, "receipt")
    assert code == 0
    (tmp_path / "receipt.json").write_text(printed)
    code, shown = _run(site, "verify", "--receipt", str(tmp_path / "receipt.json"))
    held = site.open_ledger().receipt()
    assert code == 0
    assert f"the chain holds: {held.seq} entries" in shown
    assert held.head_hash in shown
    assert "run-1" not in printed


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE entries SET body = replace(body, '2.0', '9.0')", "its hash doesn't follow"),
        ("DELETE FROM entries WHERE seq = 7", "6 entries of 7 written"),
    ],
)
def test_a_chain_that_does_not_hold_exits_1_with_the_reason(
    site: Site, statement: str, reason: str
) -> None:
    connection = sqlite3.connect(site.ledger_path, isolation_level=None)
    for each in ("DROP TRIGGER no_update", "DROP TRIGGER no_delete", statement):
        connection.execute(each)
    connection.close()
    code, shown = _run(site, "verify")
    assert code == 1
    assert "the ledger does not hold" in shown
    assert reason in shown


def test_a_rolled_back_site_is_told_by_its_receipt(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.folder, tmp_path / "backup")
    site.open_ledger().reserve(PLAN, run_id="run-3", stage="tpt", round=1)
    (tmp_path / "receipt.json").write_text(_run(site, "receipt")[1])
    for name in ("ledger.sqlite", "ledger.head"):
        shutil.copy(tmp_path / "backup" / name, site.folder / name)
    assert _run(site, "verify")[0] == 0
    code, shown = _run(site, "verify", "--receipt", str(tmp_path / "receipt.json"))
    assert code == 1
    assert "an old copy" in shown


def test_a_lost_head_is_made_again_from_the_receipt_and_from_no_older_ledger(
    site: Site, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(site.open_ledger().receipt().to_json())
    whole = site.ledger_path.read_bytes()
    head = site.folder / "ledger.head"
    before = head.read_bytes()
    head.unlink()
    code, shown = _run(site, "restore-head", "--receipt", str(kept))
    assert (code, head.read_bytes()) == (0, before)
    assert "ledger.head is there" in shown
    newer = site.open_ledger()
    newer.reserve(PLAN, run_id="r", stage="tpt", round=9)
    kept.write_text(newer.receipt().to_json())
    site.ledger_path.write_bytes(whole)
    head.unlink()
    with pytest.raises(LedgerRolledBack, match="an old copy"):
        _run(site, "restore-head", "--receipt", str(kept))
    assert not head.exists()
    head.write_bytes(before)  # an old ledger with its old head holds together
    with pytest.raises(LedgerRolledBack, match="an old copy"):
        _run(site, "restore-head", "--receipt", str(kept))


def test_a_receipt_that_cannot_be_read_is_an_input_error(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SiteInvalid, match="--receipt"):
        _run(site, "verify", "--receipt", str(tmp_path / "none.json"))


def test_a_wrong_clock_is_accepted_on_record(site: Site) -> None:
    before = site.open_ledger().receipt()
    code, shown = _run(site, "accept-clock")
    after = site.open_ledger().receipt()
    assert (code, after.seq, after.epsilon) == (0, before.seq + 1, before.epsilon)
    assert "stays spent" in shown


def test_the_plot_is_a_picture_with_a_cap_line(site: Site, tmp_path: Path) -> None:
    code, _ = _run(site, "--plot", str(tmp_path / "budget.png"))
    assert code == 0
    picture = np.asarray(Image.open(tmp_path / "budget.png").convert("RGB")).astype(int)
    reds = (abs(picture - (0xB3, 0x26, 0x1E)).sum(axis=2) < 30).sum(axis=1)
    assert reds.max() > picture.shape[1] / 3  # the dashes of the cap's line


def test_a_cap_of_infinity_and_an_infinite_epsilon_can_be_drawn() -> None:
    for values, cap in (([1.0, float("inf")], float("inf")), ([3.0, 9e8], 8.0), ([], 8.0)):
        stages = ["tpt"] * len(values)
        data = draw_budget(range(1, len(values) + 1), values, stages, cap=cap)
        assert data.startswith(b"\x89PNG")


def test_a_long_history_is_drawn_at_a_few_places_with_its_last(site: Site) -> None:
    (spend,) = site.open_ledger().spends()[:1]
    event = replace(spend.event, noise_multiplier=0.05)
    spends = [replace(spend, event=event)] * 501
    told: list[tuple[int, int]] = []
    places, values = epsilon_over_rounds(spends, 1e-5, lambda *each: told.append(each))
    assert (places[-1], len(places), told[-1]) == (501, 40, (40, 40))
    assert values == sorted(values)
