"""Who holds a run's lock is told without taking it."""

import subprocess
import sys
from pathlib import Path

import pytest

from ophora_server.errors import RunBusy
from ophora_server.run_folder import RunFolder
from ophora_server.server_app import coordinate
from ophora_server.site_link import SiteLink

_HOLDER = """
import sys, time
from pathlib import Path
from ophora_server.run_folder import RunFolder
with RunFolder(path=Path(sys.argv[1])).only_one():
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_is_held_as_long_as_its_process_lives(tmp_path: Path) -> None:
    run = RunFolder(path=tmp_path)
    assert not run.is_held()
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert run.is_held()
        assert not run.is_held("federation")
        with pytest.raises(RunBusy), run.only_one():
            pass
        holder.kill()
        holder.wait()
        assert not run.is_held()


def test_a_second_process_leaves_no_failure_in_the_log_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(path=tmp_path)

    def busy(*_: object) -> None:
        raise RunBusy("its rounds are running")

    def no_link() -> SiteLink:
        raise AssertionError("it is not needed")

    monkeypatch.setattr("ophora_server.server_app.FederationSettings.read", busy)
    with pytest.raises(RunBusy):
        coordinate(run, no_link)
    assert run.events() == []


def test_a_failure_is_final_where_the_coordinators_own_rules_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(path=tmp_path)

    def no_wire() -> SiteLink:
        raise ConnectionError("of the wire")

    with pytest.raises(Exception, match=r"federation\.toml"):
        coordinate(run, no_wire)
    monkeypatch.setattr("ophora_server.server_app.FederationSettings.read", lambda path: None)
    with pytest.raises(ConnectionError):
        coordinate(run, no_wire)
    assert [(event["reason"], event["final"]) for event in run.events()][1:] == [
        ("ConnectionError", False)
    ]
    assert run.events()[0]["final"] is True
