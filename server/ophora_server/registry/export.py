"""The whole database but the blobs as JSON lines, for another database or another eye.

One line a row, `{"table": ..., ...columns}`, tables in the order of their references, rows in that
of their keys; the schema's revision first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from sqlalchemy import select

from ophora_server.registry.registry import Registry
from ophora_server.registry.schema import NEWEST
from ophora_server.registry.tables import METADATA


def export(registry: Registry) -> Iterator[str]:
    """Lines without their ends, all of one snapshot; every federation of the database."""
    with registry.reading() as connection:
        yield json.dumps({"table": "schema", "revision": NEWEST})
        for table in METADATA.sorted_tables:
            query = select(table).order_by(*table.primary_key.columns)
            for row in connection.execute(query):
                line = {"table": table.name, **row._asdict()}
                yield json.dumps(line, sort_keys=True, allow_nan=False)
