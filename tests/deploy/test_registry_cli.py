"""The commands that show the registry, on a run of two rounds that nobody had to tune."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import plans
from ophora_deploy.federation_cli import app
from ophora_server.errors import InvalidFederation
from ophora_server.registry.errors import EntryRefused
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import RunRecord, admit_sites, open_registry, rounds_done

SETTINGS = plans.make_federation(plans.make_stage("tpt", 3))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Round 1 took two attempts, round 2 one, round 3 is open."""
    made = plans.enrolled(tmp_path, ["a", "b"])
    SETTINGS.write(made.settings_file)
    with open_registry(made) as registry:
        record = RunRecord.open(registry, SETTINGS, identity="base")
        admit_sites(registry, made)
        first = record.begin(1, "tpt", "0" * 64)
        first.take("a", "budget", num_bytes=5)
        first.abandon("quorum")
        for number in (1, 2):
            entry = record.begin(number, "tpt", "0" * 64)
            for site in ("a", "b"):
                entry.sent(site, 1000)
                entry.take(
                    site,
                    "ok",
                    num_bytes=2000,
                    update_digest=f"{number}" * 64,
                    metrics={"epsilon": 2.5 * number, "delta": 1e-5},
                )
            entry.finish({"layer": np.full((2, 2), number, np.float32)}, update_norm=1.5)
        record.begin(3, "tpt", "0" * 64).take("b", "late", arrived=False)
    return made


def _shown(run: RunFolder, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*words, "--run", str(run.path)], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.output


def test_status_tells_where_the_run_is(run: RunFolder) -> None:
    shown = _shown(run, "status")
    assert "2 of 3 rounds" in shown
    assert "next: round 3 (tpt), open" in shown
    assert "attempt 1: 0 updates in, 1 without" in shown
    assert "2 may take part, 0 revoked" in shown
    assert "2,000" in shown  # sent to both sites in a round


def test_rounds_and_one_round(run: RunFolder) -> None:
    rows = [line.split("│")[1:4] for line in _shown(run, "rounds").splitlines() if "tpt" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["1", "tpt", "finished"], ["2", "tpt", "finished"], ["3", "tpt", "open"],
    ]  # fmt: skip
    shown = _shown(run, "show", "1")
    assert "budget" in shown
    assert shown.count("yes") == 2
    assert "2.5" in shown


def test_the_export_holds_every_row_and_no_path(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    _shown(run, "export", "--out", str(out))
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert sum(row["table"] == "receipts" for row in rows) == 6
    assert str(tmp_path) not in out.read_text()


def test_the_log_is_verified_and_a_lost_adapter_is_told(run: RunFolder) -> None:
    assert "the log is what was written" in _shown(run, "verify-log")
    with open_registry(run) as registry:
        digest = next(iter(registry.blobs.folder.rglob("*/" + "?" * 64)))
    digest.unlink()
    assert "fault:" in _shown(run, "verify-log", code=1)


def test_the_last_round_alone_is_withdrawn(run: RunFolder) -> None:
    result = CliRunner().invoke(app, ["withdraw-round", "1", "--run", str(run.path)])
    assert isinstance(result.exception, EntryRefused)
    assert rounds_done(run, SETTINGS) == 2
    _shown(run, "withdraw-round", "2", "--reason", "torn")
    assert rounds_done(run, SETTINGS) == 1
    assert "the log is what was written" in _shown(run, "verify-log")


def test_a_folder_that_was_never_started_has_no_registry_and_gets_none(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["rounds", "--run", str(tmp_path)])
    assert isinstance(result.exception, InvalidFederation)
    assert not (tmp_path / "registry").exists()
    assert rounds_done(RunFolder(path=tmp_path), SETTINGS) == 0
