"""The figures of the page, from a registry that a run has filled."""

from pathlib import Path

import pytest

from ophora_server.desk.board import Board
from ophora_server.desk.chain import Chain
from ophora_server.desk.charts import losses
from ophora_server.registry.reports import audit_tail, records
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import open_registry


@pytest.fixture
def board(run: RunFolder):
    made = Board(run)
    yield made
    made.close()


def test_a_run_that_never_started_is_empty_and_gets_no_registry(empty: RunFolder) -> None:
    board = Board(empty)
    shown = {name: part() for name, part in board.parts.items()}
    assert shown["live"]["live"].progress == "never"
    assert shown["sites"] == {"sites": []}
    assert shown["rounds"] == {"rounds": [], "num_older": 0, "num_planned": 0}
    assert shown["charts"] == {"charts": ()}
    assert shown["releases"]["releases"] == []
    assert shown["audit"] == {"entries": [], "verification": None}
    assert board.run_id() == ""
    assert list(empty.path.iterdir()) == []


def test_another_run_than_the_registry_holds_never_started(run: RunFolder) -> None:
    board = Board(run, run_id="run-2")
    assert board.live()["live"].progress == "never"
    assert board.rounds()["rounds"] == []
    board.close()


def test_the_live_round_tells_who_answered_and_who_is_awaited(board: Board) -> None:
    live = board.live()["live"]
    assert (live.progress, live.number, live.stage, live.attempt) == ("open", 4, "p2ft", 1)
    assert [(each.site, each.code) for each in live.replies] == [
        ("site-a", "ok"),
        ("site-b", "hours"),
    ]
    assert live.num_updates == 1
    assert live.awaited == ("site-c",)
    assert (live.num_finished, live.num_rounds) == (3, 5)
    assert live.since is not None


def test_a_run_that_failed_is_said_to_have_stopped(board: Board, run: RunFolder) -> None:
    run.record("failed", reason="round 4: 1 updates of 2 needed")
    assert board.live()["live"].progress == "stopped"
    run.record("started", after_round=3, rounds=5)
    assert board.live()["live"].progress == "open"


def test_sites_come_with_state_contact_and_counted_updates(board: Board) -> None:
    sites = {site["code"]: site for site in board.sites()["sites"]}
    assert list(sites)[-1] == "site-e"
    assert sites["site-e"]["revoked"] is not None
    assert sites["site-a"]["updates"] == 3
    assert sites["site-a"]["software"] == "0.1.0"
    assert sites["site-a"]["budget_epsilon"] == 5.0
    assert sites["site-c"]["budget_epsilon"] is None
    assert sites["site-d"]["last_contact"] is None


def test_rounds_are_newest_first_with_their_attempts(board: Board) -> None:
    shown = board.rounds()
    rows = [(row["number"], row["state"], row["attempt"]) for row in shown["rounds"]]
    assert rows == [(4, "open", 1), (3, "finished", 1), (2, "finished", 1), (1, "finished", 2)]
    assert shown["num_planned"] == 1
    assert shown["rounds"][1]["bytes_received"] == 600_000


def test_charts_show_norm_shared_losses_and_bytes(board: Board) -> None:
    norm, loss, sent = board.charts()["charts"]
    assert norm.said == "norm: 1.5 in round 1, 0.5 in round 3"
    assert loss.names == ("site-a", "site-b")
    assert [len(line.points.split()) for line in loss.lines] == [3, 3]
    assert "received: 600 kB in round 1" in sent.said
    assert len(sent.bars) == 6


def test_losses_of_many_sites_become_one_mean() -> None:
    receipts = [
        {"site": f"s{number}", "counted": number > 0, "metrics": {"loss": float(number)}}
        for number in range(9)
    ]
    assert losses([{"number": 1, "receipts": receipts}]) == {"mean of 8 sites": {1: 4.5}}


def test_a_release_has_decisions_and_the_evidence_of_its_own_adapter(
    board: Board, run: RunFolder
) -> None:
    shown = board.releases()
    (release,) = shown["releases"]
    assert [said["decision"] for said in release["decisions"]] == ["approve", "approve", "reject"]
    assert release["published"] is not None
    folder = shown["folders"][release["digest"]]
    assert len(folder.figures) == 6
    (run.releases / "tpt" / "evidence.json").write_text("{}")
    assert board.releases()["folders"][release["digest"]].figures == ()


def test_only_pictures_that_lie_in_the_release_are_shown(
    board: Board, run: RunFolder, tmp_path: Path
) -> None:
    digest = board.releases()["releases"][0]["digest"]
    assert board.picture(digest, 0) is None
    (tmp_path / "elsewhere.png").write_bytes(b"x")
    (run.releases / "tpt" / "a.png").symlink_to(tmp_path / "elsewhere.png")
    (run.releases / "tpt" / "b.png").write_bytes(b"y")
    assert board.picture(digest, 0) == run.releases / "tpt" / "b.png"
    assert board.picture(digest, 1) is None
    assert board.picture("0" * 64, 0) is None


def test_an_edited_log_no_longer_verifies(board: Board, run: RunFolder) -> None:
    shown = board.audit()
    assert shown["verification"].holds
    assert shown["verification"].num_rounds == 3
    assert shown["entries"][0]["seq"] == shown["verification"].num_entries
    with open_registry(run) as registry, registry.database.writing() as connection:
        connection.exec_driver_sql("UPDATE audit_log SET body = '[' WHERE seq = 3")
    with open_registry(run) as registry:
        newest = audit_tail(registry, 1)[0]["seq"]
        assert not Chain().verified(registry, newest).holds
        edited = next(entry for entry in audit_tail(registry, 1000) if entry["seq"] == 3)
    assert (edited["event"], edited["values"]) == (None, {})


def test_the_chain_is_read_again_when_it_grew_or_a_minute_passed(run: RunFolder, clock) -> None:
    chain = Chain(clock=clock)
    with open_registry(run) as registry:
        newest = audit_tail(registry, 1)[0]["seq"]
        first = chain.verified(registry, newest)
        clock.now = 59.0
        assert chain.verified(registry, newest) is first
        clock.now = 61.0
        assert chain.verified(registry, newest) is not first
        registry.record("checked")
        assert chain.verified(registry, newest + 1).num_entries == newest + 1


def test_records_hold_every_round_with_the_receipts_of_all_attempts(run: RunFolder) -> None:
    with open_registry(run) as registry:
        found = records(registry, "run-1")
    assert [each["number"] for each in found] == [1, 2, 3, 4, 5]
    assert [each["attempt"] for each in found[0]["receipts"]] == [1, 2, 2, 2]
    assert found[4]["receipts"] == []
