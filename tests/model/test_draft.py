"""A file is replaced by a whole one or left as it was."""

from pathlib import Path

import pytest

from ophora_model.draft import draft_of, write_private, write_whole


def test_content_replaces_the_file_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_draft_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_bytes(b"old")

    def fail() -> None:
        with draft_of(path) as part:
            part.write_bytes(b"ne")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_private_file_is_its_owners_alone_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"secret")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_private(path, b"another")
    assert path.read_bytes() == b"secret"
