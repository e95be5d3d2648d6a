"""The same board where the registry is in a PostgreSQL database."""

from pathlib import Path

import pytest

import postgres
from ophora_server.desk.board import Board
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import URL_VARIABLE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgres.programs() is None, reason=postgres.MISSING),
]


def test_a_registry_in_postgresql_is_shown_and_an_empty_database_stays_so(
    filling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.running_cluster() as cluster:
        monkeypatch.setenv(URL_VARIABLE, cluster.make_database())
        never = RunFolder(path=tmp_path / "never")
        never.path.mkdir()
        assert Board(never).sites() == {"sites": []}
        assert list(never.path.iterdir()) == []

        board = Board(filling(tmp_path / "run"))
        assert board.live()["live"].awaited == ("site-c",)
        assert len(board.charts()["charts"]) == 3
        assert board.audit()["verification"].holds
        assert board.releases()["releases"][0]["published"] is not None
        board.close()
