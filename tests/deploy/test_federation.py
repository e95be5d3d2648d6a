"""Starting a run that runs already touches nothing of it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from ophora_deploy.federation import run_federation
from ophora_deploy.federation_cli import app
from ophora_server.errors import InvalidFederation, RunBusy
from ophora_server.run_folder import RunFolder


def test_a_second_start_leaves_the_running_one_alone(tmp_path: Path) -> None:
    run = RunFolder(path=tmp_path)
    run.flower.mkdir()
    state = run.flower / "state.sqlite"
    state.write_bytes(b"in use")
    run.sites_file.write_text("{}")
    with run.only_one("federation"), pytest.raises(RunBusy):
        run_federation(run, [])
    assert state.read_bytes() == b"in use"
    assert run.sites_file.exists()


def test_the_status_of_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["status", "--run", str(tmp_path / "none")])
    assert isinstance(result.exception, InvalidFederation)
