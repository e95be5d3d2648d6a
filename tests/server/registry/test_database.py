"""The database locked, full, gone or damaged: a bounded wait, a clear error, the state before."""

import errno
import os
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from sqlalchemy import event

from ophora_model.errors import PlanInvalid
from ophora_server.registry import (
    Registry,
    RegistryBusy,
    RegistryCorrupt,
    RegistryUnavailable,
    finish_round,
    last_finished,
    verify,
)
from ophora_server.registry.database import Database


def test_a_locked_database_is_waited_for_no_longer_than_said(store):
    store.finish(store.begun(), 1)
    impatient = store.open(wait_s=0.4)
    with store.opened[0].writing():
        began = time.monotonic()
        with pytest.raises(RegistryBusy, match=r"locked by another writer for 0\.4 s; try again"):
            store.begin(impatient, 2)
        assert 0.3 < time.monotonic() - began < 5
        assert last_finished(impatient, "run-1").number == 1  # a reader waits for nobody
    assert store.begin(impatient, 2).attempt == 1


def test_a_writer_waits_for_the_one_before_it(store):
    registry, other = store.begun(), store.open()
    held = threading.Event()

    def hold():
        with other.writing():
            held.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    store.begin(registry, 1)
    thread.join()


def test_an_error_inside_leaves_nothing(store):
    registry = store.begun()

    def note_and_die():
        with registry.writing() as transaction:
            transaction.audit("note")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        note_and_die()
    assert verify(registry).holds
    assert not [
        body for (body,) in store.ask(registry, "SELECT body FROM audit_log") if "note" in body
    ]


def test_a_reader_sees_one_moment(store):
    registry, other = store.begun(), store.open()
    with registry.reading() as connection:
        query = "SELECT count(*) FROM audit_log"
        before = connection.exec_driver_sql(query).scalar()
        store.begin(other, 1)
        assert connection.exec_driver_sql(query).scalar() == before


def limit_pages(registry):
    """No page more than there is, on every connection that is to come."""

    def limit(connection, _record):
        connection.execute("PRAGMA max_page_count = 1")

    event.listen(registry.database._engine, "connect", limit)
    registry.close()


def fill(registry, words):
    for _ in range(1000):
        registry.record("note", words=words)


def test_a_full_disk_leaves_what_was_there(on_sqlite):
    registry = on_sqlite.begun()
    on_sqlite.finish(registry, 1)
    place = on_sqlite.begin(registry, 2)
    limit_pages(registry)
    for num_words in (20, 1):  # until the pages that are there are full to the brim
        with pytest.raises(RegistryUnavailable, match=r"its disk is full.*; mend that"):
            fill(registry, ["x" * 64] * num_words)
    metrics = {f"m{number}": 1.0 for number in range(64)}
    with pytest.raises(RegistryUnavailable, match="its disk is full"):
        finish_round(registry, place, on_sqlite.outcome(place, metrics=metrics))
    assert last_finished(registry, "run-1").number == 1
    again = on_sqlite.open()
    assert verify(again).holds
    finish_round(again, place, on_sqlite.outcome(place))


def test_a_full_disk_under_the_blobs_leaves_what_was_there(store, monkeypatch):
    registry = store.begun()
    store.finish(registry, 1)
    place = store.begin(registry, 2)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RegistryUnavailable, match=r"No space left on device.*; mend that"):
        finish_round(registry, place, store.outcome(place))
    monkeypatch.undo()
    assert last_finished(registry, "run-1").number == 1
    assert verify(registry).holds
    finish_round(registry, place, store.outcome(place))


def test_a_disk_that_is_full_right_after_the_commit_loses_no_round(store, monkeypatch):
    registry = store.begun()
    place = store.begin(registry, 1)
    outcome = store.outcome(place)

    def full(*_):
        raise RegistryUnavailable("audit.head: full; mend that")

    monkeypatch.setattr("ophora_server.registry.registry.write_head", full)
    with pytest.raises(RegistryUnavailable):
        finish_round(registry, place, outcome)
    monkeypatch.undo()
    again = store.open()
    assert last_finished(again, "run-1").number == 1
    assert verify(again).holds


def test_what_is_no_database_is_refused(on_sqlite):
    on_sqlite.folder.mkdir()
    (on_sqlite.folder.parent / "registry.sqlite").write_bytes(b"hello " * 2000)
    with pytest.raises(RegistryCorrupt, match=r"damaged .*; put the newest copy back"):
        on_sqlite.open()


def test_a_database_that_can_not_be_opened_is_told_without_its_path(on_sqlite):
    with pytest.raises(RegistryUnavailable) as caught:
        on_sqlite.open(url=f"sqlite:///{on_sqlite.folder}/no/such/folder.sqlite")
    assert str(on_sqlite.folder) not in str(caught.value)


def test_a_database_that_another_process_is_making_is_waited_for(on_sqlite):
    path = on_sqlite.folder.parent / "registry.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RegistryBusy):
            on_sqlite.open(wait_s=0.2)
        timer = threading.Timer(0.3, other.rollback)
        timer.start()
        assert verify(on_sqlite.open()).holds
        timer.join()


def test_sqlite_keeps_its_promise_of_wal_and_full_sync(on_sqlite):
    registry = on_sqlite.open()
    assert on_sqlite.ask(registry, "PRAGMA journal_mode") == [("wal",)]
    assert on_sqlite.ask(registry, "PRAGMA synchronous") == [(2,)]
    assert on_sqlite.ask(registry, "PRAGMA foreign_keys") == [(1,)]


def test_postgres_gone_and_back_loses_nothing(cluster, on_postgres):
    registry = on_postgres.begun()
    on_postgres.finish(registry, 1)
    place = on_postgres.begin(registry, 2)
    cluster.stop()
    try:
        with pytest.raises(RegistryUnavailable, match="no connection"):
            finish_round(registry, place, on_postgres.outcome(place))
    finally:
        cluster.start()
    assert last_finished(registry, "run-1").number == 1
    finish_round(registry, place, on_postgres.outcome(place))
    assert verify(registry).holds


def test_a_writer_that_postgres_threw_out_is_told_and_leaves_nothing(on_postgres):
    registry, other = on_postgres.begun(), on_postgres.open()

    def be_thrown_out():
        with registry.writing() as transaction:
            transaction.audit("note")
            pid = transaction.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
            on_postgres.ask(other, f"SELECT pg_terminate_backend({pid})")

    with pytest.raises(RegistryUnavailable):
        be_thrown_out()
    assert verify(registry).holds


def test_a_password_is_in_no_error():
    url = "postgresql://ophora:geheim@127.0.0.1:9/registry"
    with pytest.raises(RegistryUnavailable) as caught, Database(url, wait_s=2).reading():
        pass
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://host/name", "sqlite://", "nothing", ""])
def test_another_database_is_refused(url):
    with pytest.raises(PlanInvalid, match="must be sqlite:///PATH or postgresql://HOST/NAME"):
        Database(url)


def test_the_folder_alone_gives_a_database_in_it(folder):
    with Registry(folder / "new") as registry:
        assert verify(registry).holds
    with closing(sqlite3.connect(folder / "new" / "registry.sqlite")) as connection:
        assert connection.execute("SELECT name FROM federations").fetchall() == [("federation",)]


def test_a_folder_that_can_not_be_made_is_told(folder):
    (folder / "file").write_text("")
    with pytest.raises(RegistryUnavailable, match="can't be made"):
        Registry(folder / "file" / "registry")
