"""The jobs table, as the queue stores it."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData, String, Table

from ophora_server.generator.order import VideoOrder

METADATA = MetaData()

JOBS = Table(
    "jobs",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("video_id", String, unique=True, nullable=False),
    Column("prompt", String, nullable=False),
    Column("model", String, nullable=False),
    Column("seconds", String, nullable=False),
    Column("size", String, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("guidance", Float, nullable=False),
    Column("status", String, nullable=False, index=True),
    Column("progress", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("deleted", Boolean, nullable=False, default=False),
    Column("created_at", Float, nullable=False),
    Column("completed_at", Float),
    Column("error_code", String),
    Column("error_message", String),
    Column("owner", String),
    Column("lease_ends_at", Float),
    sqlite_autoincrement=True,  # a deleted job's number is never given again: pages stay stable
)

COLUMNS = tuple(JOBS.c)


def values_of(order: VideoOrder) -> dict[str, Any]:
    """Return an order as column values."""
    return asdict(order)
