"""The record of what left: chained, complete, and a condition of leaving."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import plans
from ophora_client.egress import Outgoing, outgoing_decline, outgoing_update
from ophora_client.errors import SentLogBroken
from ophora_client.sent_log import SentLog
from ophora_client.site import init_site
from ophora_client.site_cli import app
from ophora_model.update import tensors_digest

TENSORS = {"layer": np.ones((2, 3), np.float32)}
ABOUT: dict[str, str | int] = {"run_id": "run-1", "stage": "tpt", "round": 1}


def _update() -> Outgoing:
    return outgoing_update(
        TENSORS,
        {"steps": 3, "epsilon": float("inf")},
        announced={"layer": (2, 3)},
        share_loss=False,
        receipt=plans.make_receipt(4),
    )


@pytest.fixture
def log(tmp_path: Path) -> SentLog:
    made = SentLog(tmp_path)
    made.note("train", ABOUT, _update())
    made.note("train", ABOUT, outgoing_decline("budget"))
    made.note("share-keys", {"attempt": "ab"}, outgoing_decline("secure-sum"))
    return made


def test_every_message_is_there_with_its_fields_and_digest(log: SentLog) -> None:
    first, second, third = log.messages()
    assert (first.code, first.tensors, first.num_bytes, first.has_receipt) == ("ok", 1, 24, True)
    assert first.metrics == {"steps": 3.0, "epsilon": "inf"}
    assert first.digest == tensors_digest(TENSORS)
    assert (second.code, second.digest, second.num_bytes) == ("budget", "", 0)
    assert third.about == {"attempt": "ab"}
    assert [each.seq for each in (first, second, third)] == [1, 2, 3]


@pytest.mark.parametrize(
    "harm",
    [
        lambda lines: [lines[0].replace('"steps": 3.0', '"steps": 4.0'), *lines[1:]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: lines[:2],
        lambda lines: [],
        lambda lines: [*lines[:2], lines[2][:-9]],
        lambda lines: [*lines, lines[2]],
    ],
)
def test_a_changed_or_cut_log_is_told_and_a_cut_one_takes_nothing_more(
    log: SentLog, tmp_path: Path, harm: Callable[[list[str]], list[str]]
) -> None:
    path = tmp_path / "sent.jsonl"
    lines = harm(path.read_text().splitlines())
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(SentLogBroken):
        log.messages()
    if len(lines) < 3:
        with pytest.raises(SentLogBroken):
            log.note("train", ABOUT, outgoing_decline("budget"))


@pytest.mark.parametrize("held", [b"\xff\xfe", b"many abc\n", b""])
def test_a_head_that_is_none_is_told(log: SentLog, tmp_path: Path, held: bytes) -> None:
    (tmp_path / "sent.head").write_bytes(held)
    with pytest.raises(SentLogBroken, match="can't be read"):
        log.messages()


def test_a_crash_between_line_and_head_is_no_fault(log: SentLog, tmp_path: Path) -> None:
    head = tmp_path / "sent.head"
    before = head.read_bytes()
    log.note("train", ABOUT, outgoing_decline("hours"))
    head.write_bytes(before)
    assert len(log.messages()) == 4
    log.note("train", ABOUT, outgoing_decline("hours"))
    assert len(log.messages()) == 5


def test_a_line_that_a_crash_tore_never_left_and_is_written_over(
    log: SentLog, tmp_path: Path
) -> None:
    with (tmp_path / "sent.jsonl").open("a") as file:
        file.write('{"about": {"run')
    assert len(log.messages()) == 3
    log.note("train", ABOUT, outgoing_decline("hours"))
    assert [message.code for message in log.messages()][-1] == "hours"


def test_the_command_shows_them_and_fails_on_a_changed_log(tmp_path: Path) -> None:
    site = init_site(tmp_path / "site", code="a")
    log = SentLog(site.logs_dir)
    log.note("train", ABOUT, _update())
    run = CliRunner()
    shown = run.invoke(app, ["sent", "--site", str(site.folder)], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "run-1 tpt 1" in shown.output
    assert "1 tensors, numbers, ledger receipt" in shown.output
    assert "1 messages, 24 bytes" in shown.output
    lines = run.invoke(app, ["sent", "--site", str(site.folder), "--json"]).output.splitlines()
    assert json.loads(lines[0])["digest"] == tensors_digest(TENSORS)
    path = site.logs_dir / "sent.jsonl"
    path.write_text(path.read_text().replace("budget", "hours").replace("tpt", "p2ft"))
    changed = run.invoke(app, ["sent", "--site", str(site.folder)])
    assert isinstance(changed.exception, SentLogBroken)
