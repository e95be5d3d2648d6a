"""What an error means for the run; its text, which may name a file, goes nowhere."""

import errno
import sqlite3
from pathlib import Path

import av
import pytest

from ophora_curation.errors import StoreFull
from ophora_curation.run.faults import is_out_of_memory, kind_of, store_full


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "full", "/Mary Poe"), "make room"),
        (OSError(errno.EDQUOT, "quota", "/Mary Poe"), "make room"),
        (OSError(errno.EROFS, "read-only", "/Mary Poe"), "make it writable"),
        (av.error.OSError(errno.ENOSPC, "full", "/Mary Poe"), "make room"),
        (StoreFull("make room for it"), "make room"),
    ],
)
def test_a_store_that_cannot_be_written_is_known(error: Exception, told: str) -> None:
    found = store_full(error)
    assert found is not None
    assert told in str(found)
    assert "Poe" not in str(found)


def test_it_is_known_behind_another_error() -> None:
    outer = ValueError("Mary Poe")
    outer.__context__ = OSError(errno.ENOSPC, "full")
    assert store_full(outer) is not None


def test_a_full_database_is_known(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        connection.execute("CREATE TABLE a (b)")
        connection.execute("PRAGMA max_page_count = 3")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("INSERT INTO a VALUES (randomblob(100000))")
        connection.execute("PRAGMA query_only = 1")
        with pytest.raises(sqlite3.OperationalError) as refused:
            connection.execute("INSERT INTO a VALUES (1)")
    connection.close()
    assert "make room" in str(store_full(caught.value))
    assert "make it writable" in str(store_full(refused.value))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOENT, "gone"), ValueError("full"), sqlite3.IntegrityError("x")]
)
def test_other_errors_do_not_stop_a_run(error: Exception) -> None:
    assert store_full(error) is None
    assert not is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        RuntimeError("onnxruntime: Failed to allocate memory for requested buffer of size 9"),
        OSError(errno.ENOMEM, "no memory"),
    ],
)
def test_a_failed_allocation_is_known_whoever_made_it(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_an_error_is_named_by_its_type_and_place() -> None:
    with pytest.raises(KeyError) as caught:
        raise KeyError("Mary Poe")
    assert kind_of(caught.value).startswith("KeyError@test_faults.py:")
    assert kind_of(KeyError("Mary Poe")) == "KeyError"
