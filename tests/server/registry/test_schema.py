"""The schema: brought up from an older one, in one step, and never down from a newer one."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from ophora_server.registry import RegistryTooNew, finish_round, last_finished, upgrade, verify
from ophora_server.registry import schema as schema_module
from ophora_server.registry.database import Database
from ophora_server.registry.schema import NEWEST, REVISIONS
from ophora_server.registry.tables import METADATA


@pytest.fixture
def database(store):
    made = Database(store.url)
    yield made
    made.close()


def tables(database):
    with database.reading() as connection:
        return set(inspect(connection).get_table_names())


def test_the_migrations_make_the_tables_that_the_code_uses(store, database):
    upgrade(store.url)
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    assert tables(database) == {*METADATA.tables, "alembic_version"}


def test_a_comparison_of_the_tables_can_fail(store, database):
    upgrade(store.url)
    with database.writing() as connection:
        connection.exec_driver_sql("DROP INDEX uq_receipts_counted")
        connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN note VARCHAR(8)")
    with database.reading() as connection:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
    assert len(found) == 2


def test_an_older_schema_is_brought_up_with_its_rows(store, database):
    upgrade(store.url, to="0001")
    assert "releases" not in tables(database)
    registry = store.begun()
    assert "releases" in tables(database)
    store.finish(registry, 1)
    with database.writing() as connection:  # back to 0001, as an older version left it
        connection.exec_driver_sql("DROP TABLE approvals")
        connection.exec_driver_sql("DROP TABLE releases")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    registry.close()
    again = store.open()
    assert "releases" in tables(database)
    assert last_finished(again, "run-1").number == 1
    assert verify(again).holds
    place = store.begin(again, 2)
    finish_round(again, place, store.outcome(place))


def test_an_upgrade_of_what_is_new_does_nothing(store, database):
    for _ in range(2):
        upgrade(store.url)
    upgrade(store.url, to="0001")
    assert "releases" in tables(database)


def test_a_newer_schema_is_refused_and_left_alone(store, database):
    upgrade(store.url)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(RegistryTooNew, match="schema='9999': must be at most '0002'"):
        store.open()
    with database.reading() as connection:
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    assert found == "9999"


def test_an_upgrade_that_fails_leaves_the_schema_as_it_was(store, database, monkeypatch):
    upgrade(store.url, to="0001")
    before, migrate = tables(database), schema_module._migrate

    def die_at_the_end(connection, to):
        migrate(connection, to)
        raise KeyboardInterrupt

    monkeypatch.setattr(schema_module, "_migrate", die_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        upgrade(store.url)
    monkeypatch.undo()
    assert tables(database) == before
    upgrade(store.url)
    assert "releases" in tables(database)


def test_two_that_start_at_once_make_one_schema(store, database):
    failures = []

    def start():
        try:
            upgrade(store.url)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert tables(database) == {*METADATA.tables, "alembic_version"}


def test_the_revisions_are_those_of_the_migrations():
    script = ScriptDirectory(str(schema_module._MIGRATIONS))
    found = [each.revision for each in script.walk_revisions()][::-1]
    assert (tuple(found), script.get_current_head()) == (REVISIONS, NEWEST)
