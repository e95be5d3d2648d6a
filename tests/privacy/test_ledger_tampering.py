"""Edited, cut off, missing and rolled back ledgers are told apart, and none of them is used."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ophora_privacy import ledger_chain
from ophora_privacy.errors import (
    InvalidPlan,
    LedgerCorrupt,
    LedgerRolledBack,
    LedgerTruncated,
    LedgerUnavailable,
    PrivacyError,
)
from ophora_privacy.ledger import Ledger
from ophora_privacy.ledger_head import LedgerReceipt, read_head
from ophora_privacy.plan import PrivacyPlan

PLAN = PrivacyPlan(
    clip_norm=1.0,
    noise_multiplier=0.05,  # accounted for at once by the Renyi bound
    sampling_rate=0.1,
    steps_per_round=1,
    delta=1e-5,
    clips_per_patient=1,
    normaliser=1.0,
)


def _open(path: Path) -> Ledger:
    return Ledger(path, site="a", cap=float("inf"), delta=1e-5)


def _spent(path: Path, rounds: int) -> Ledger:
    ledger = _open(path)
    for number in range(rounds):
        ledger.reserve(PLAN, run_id="run", stage="tpt", round=number)
    return ledger


def _edit(path: Path, *statements: str) -> None:
    """As someone with the file would: the triggers are gone first."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("DROP TRIGGER no_update", "DROP TRIGGER no_delete", *statements):
        connection.execute(statement)
    connection.close()


def test_a_slip_of_the_hand_is_stopped_by_the_file_itself(tmp_path: Path) -> None:
    ledger = _spent(tmp_path / "ledger.sqlite", 1)
    connection = sqlite3.connect(ledger.path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("DELETE FROM entries")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("UPDATE entries SET body = '{}'")
    connection.close()


@pytest.mark.parametrize(
    ("statement", "error", "message"),
    [
        ("UPDATE entries SET body = replace(body, '0.05', '9.05') WHERE seq = 2", LedgerCorrupt,
         "entry 2: its hash"),
        ("DELETE FROM entries WHERE seq = 2", LedgerCorrupt, "entry 2: its hash"),
        ("UPDATE entries SET seq = CASE seq WHEN 2 THEN 90 ELSE seq END", LedgerCorrupt, "entry 2"),
        ("DELETE FROM entries WHERE seq = 4", LedgerTruncated, "3 entries of 4 written"),
        ("DELETE FROM entries", LedgerTruncated, "0 entries of 4"),
    ],
)  # fmt: skip
def test_edited_and_cut_off_files_are_told_apart(
    tmp_path: Path, statement: str, error: type[PrivacyError], message: str
) -> None:
    ledger = _spent(tmp_path / "ledger.sqlite", 3)
    _edit(ledger.path, statement)
    with pytest.raises(error, match=message):
        ledger.epsilon()
    with pytest.raises(error, match=message):
        ledger.reserve(PLAN, run_id="run", stage="tpt", round=9)
    with pytest.raises(error, match=message):
        _open(ledger.path)


def test_a_file_that_is_no_ledger_or_is_torn_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerCorrupt):
        _open(path)
    torn = _spent(tmp_path / "torn.sqlite", 40).path
    torn.write_bytes(torn.read_bytes()[:9000])
    with pytest.raises(LedgerCorrupt):
        _open(torn)


def test_a_missing_ledger_is_not_begun_anew_where_its_head_is(tmp_path: Path) -> None:
    ledger = _spent(tmp_path / "ledger.sqlite", 1)
    ledger.path.unlink()
    with pytest.raises(LedgerUnavailable, match="not there"):
        _open(ledger.path)
    assert not ledger.path.exists()


def test_an_old_copy_is_noticed_by_the_head_beside_it(tmp_path: Path) -> None:
    ledger = _spent(tmp_path / "ledger.sqlite", 1)
    shutil.copy(ledger.path, tmp_path / "backup")
    _spent(ledger.path, 2)
    shutil.copy(tmp_path / "backup", ledger.path)
    with pytest.raises(LedgerRolledBack, match=r"2 entries, but ledger.head knows of 4: an old"):
        ledger.reserve(PLAN, run_id="run", stage="tpt", round=9)
    with pytest.raises(LedgerRolledBack):
        _open(ledger.path)


def test_a_ledger_without_its_head_is_not_trusted(tmp_path: Path) -> None:
    ledger = _spent(tmp_path / "ledger.sqlite", 1)
    (tmp_path / "ledger.head").unlink()
    with pytest.raises(LedgerUnavailable, match=r"ledger.head: not there"):
        _open(ledger.path)


def test_a_head_that_is_none_is_refused(tmp_path: Path) -> None:
    ledger = _spent(tmp_path / "ledger.sqlite", 1)
    for text in ("", "[]", "{}", '{"ledger_id": "x", "seq": 1, "head_hash": "y"}'):
        (tmp_path / "ledger.head").write_text(text)
        with pytest.raises(LedgerCorrupt, match="holds no head"):
            ledger.epsilon()


def test_a_new_ledger_in_the_place_of_the_old_one_is_noticed(tmp_path: Path) -> None:
    old, new = (_spent(tmp_path / f"{name}.sqlite", 2) for name in ("old", "new"))
    receipt = old.receipt()
    shutil.copy(new.path, old.path)
    with pytest.raises(LedgerRolledBack, match=r"not the ledger that old.head knows"):
        old.epsilon()
    with pytest.raises(LedgerRolledBack, match="not the ledger that the receipt knows"):
        new.check_receipt(receipt)


def test_both_files_rolled_back_together_are_noticed_by_the_receipt(tmp_path: Path) -> None:
    ledger = _spent(tmp_path / "ledger.sqlite", 1)
    early = ledger.receipt()
    shutil.copytree(tmp_path, tmp_path / "backup")
    _spent(ledger.path, 1)
    late = ledger.receipt()
    ledger.check_receipt(early)  # still a part of the chain
    ledger.check_receipt(late)
    for name in ("ledger.sqlite", "ledger.head"):
        shutil.copy(tmp_path / "backup" / name, tmp_path / name)
    ledger = _open(ledger.path)
    ledger.check_receipt(early)
    with pytest.raises(LedgerRolledBack, match="2 entries, but the receipt knows of 3"):
        ledger.check_receipt(late)
    _spent(ledger.path, 1)  # as long as before, by other entries
    with pytest.raises(LedgerRolledBack, match="entry 3 is not the one"):
        ledger.check_receipt(late)


def test_a_settled_round_must_still_be_there(tmp_path: Path) -> None:
    one, other = _spent(tmp_path / "one.sqlite", 0), _spent(tmp_path / "other.sqlite", 5)
    reservation = other.reserve(PLAN, run_id="run", stage="tpt", round=6)
    with pytest.raises(LedgerRolledBack, match="no longer"):
        one.settle(reservation, steps=1)


@pytest.mark.parametrize("moment", ["first", "later"])
def test_a_crash_before_the_head_is_written_leaves_it_behind_and_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = tmp_path / "ledger.sqlite"
    if moment == "later":
        _spent(path, 2)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(ledger_chain, "write_head", crash)
        with pytest.raises(KeyboardInterrupt):
            _spent(path, 1)
    ledger = _open(path)
    assert len(ledger.spends()) == (3 if moment == "later" else 0)
    head = read_head(path)
    assert head == ledger.receipt().head


def test_what_a_newer_version_wrote_is_not_skipped(tmp_path: Path) -> None:
    ledger = _spent(tmp_path / "ledger.sqlite", 1)
    with ledger_chain.LedgerChain(ledger.path).appending() as chain:
        chain.append({"kind": "spend-otherwise"})
    with pytest.raises(LedgerUnavailable, match="entry 3: unknown kind"):
        ledger.epsilon()


def test_a_receipt_holds_head_and_epsilon_and_no_plan(tmp_path: Path) -> None:
    receipt = _spent(tmp_path / "ledger.sqlite", 1).receipt()
    keys = set(json.loads(receipt.to_json()))
    assert keys == {"ledger_id", "seq", "head_hash", "epsilon", "delta"}
    assert LedgerReceipt.from_json(receipt.to_json()) == receipt


@pytest.mark.parametrize(
    "spoil",
    [
        lambda values: {**values, "noise": 1},
        lambda values: {**values, "seq": 0},
        lambda values: {**values, "head_hash": "Z" * 64},
        lambda values: {**values, "epsilon": -1.0},
        lambda values: {**values, "delta": "1e-5"},
        lambda values: [values],
        lambda values: {key: values[key] for key in values if key != "epsilon"},
    ],
)
def test_a_receipt_of_another_form_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, object]], object]
) -> None:
    values = json.loads(_open(tmp_path / "ledger.sqlite").receipt().to_json())
    with pytest.raises(InvalidPlan):
        LedgerReceipt.from_json(json.dumps(spoil(values)))
    with pytest.raises(InvalidPlan):
        LedgerReceipt.from_json("not JSON")
