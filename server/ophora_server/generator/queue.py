"""The durable job queue: SQLite in WAL mode, shared by the API process and its workers.

add -> claim (a lease) -> report ... -> complete or fail. A job is neither lost nor run to its end
twice: a claim is a lease that its owner renews; a job whose lease ran out, or whose owner is known
to be dead, waits again once and fails the second time. `complete` publishes the file inside the
write transaction that checks the lease, so of two owners only the rightful one publishes.
Prompts are kept here until their video is deleted; they are in no log and no error.
"""

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self

from sqlalchemy import (
    Connection,
    and_,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    true,
)
from sqlalchemy import update as sql_update
from sqlalchemy.engine import Row

from ophora_server.errors import InvalidRequest, QueueFull, UnknownVideo
from ophora_server.generator.job import Job, JobError, JobPage, Status
from ophora_server.generator.job_table import COLUMNS, JOBS, METADATA, values_of
from ophora_server.generator.order import VideoOrder

MAX_ATTEMPTS = 2
MAX_WAITING = 100
LEASE_S = 30.0
BUSY_TIMEOUT_MS = 10_000

WORKER_DIED = JobError(
    code="worker_died",
    message="the worker stopped twice while it made this video; ask again, or ask the operator",
)


class JobQueue:
    """Jobs in one SQLite file. A method is one transaction; safe across threads and processes."""

    def __init__(self, path: Path) -> None:
        # hidden, because an error's text would otherwise quote the prompt
        self._engine = create_engine(f"sqlite:///{path}", hide_parameters=True)
        event.listen(self._engine, "connect", _configure_connection)
        event.listen(self._engine, "begin", _begin_immediate)
        METADATA.create_all(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def add(self, order: VideoOrder) -> Job:
        """Append a job. Raises QueueFull when MAX_WAITING jobs wait already."""
        with self._engine.begin() as connection:
            waiting = connection.scalar(
                select(func.count()).where(JOBS.c.status == Status.QUEUED.value)
            )
            if waiting is not None and waiting >= MAX_WAITING:
                raise QueueFull(f"{waiting} videos wait: at most {MAX_WAITING}; ask again later")
            video_id = f"video_{secrets.token_hex(16)}"
            connection.execute(
                insert(JOBS).values(
                    video_id=video_id,
                    status=Status.QUEUED.value,
                    created_at=time.time(),
                    **values_of(order),
                )
            )
            return _read(_row(connection, video_id))

    def get(self, video_id: str) -> Job:
        """Return the job. Raises UnknownVideo."""
        with self._reading() as connection:
            return _read(_row(connection, video_id))

    def page(self, *, limit: int, order: Literal["asc", "desc"], after: str | None) -> JobPage:
        """Return up to `limit` jobs by age. Raises InvalidRequest for an unknown `after`."""
        column = JOBS.c.number
        query = select(*COLUMNS).where(~JOBS.c.deleted).limit(limit + 1)
        query = query.order_by(column.asc() if order == "asc" else column.desc())
        with self._reading() as connection:
            if after is not None:
                number = connection.scalar(select(column).where(JOBS.c.video_id == after))
                if number is None:
                    raise InvalidRequest("after", "after: no video has this id")
                query = query.where(column > number if order == "asc" else column < number)
            rows = connection.execute(query).all()
        return JobPage(jobs=tuple(_read(row) for row in rows[:limit]), has_more=len(rows) > limit)

    def video_ids(self) -> set[str]:
        """Return the id of every job that was not deleted."""
        with self._reading() as connection:
            return set(connection.scalars(select(JOBS.c.video_id).where(~JOBS.c.deleted)))

    def delete(self, video_id: str) -> None:
        """Forget a job. A running one is hidden at once and its worker stops at its next step."""
        with self._engine.begin() as connection:
            job = _read(_row(connection, video_id))
            if job.status is Status.IN_PROGRESS:
                connection.execute(_change(video_id).values(deleted=True, prompt=""))
            else:
                connection.execute(delete(JOBS).where(JOBS.c.video_id == video_id))

    def is_running(self, video_id: str) -> bool:
        """True while a worker holds the job, even if it was deleted."""
        with self._reading() as connection:
            query = select(JOBS.c.status).where(JOBS.c.video_id == video_id)
            return bool(connection.scalar(query) == Status.IN_PROGRESS.value)

    def has_work(self) -> bool:
        """True when `claim` may find something; a read that takes no write lock."""
        query = select(JOBS.c.number).where(
            or_(
                JOBS.c.status == Status.QUEUED.value,
                and_(JOBS.c.status == Status.IN_PROGRESS.value, JOBS.c.lease_ends_at < time.time()),
            )
        )
        with self._reading() as connection:
            return connection.scalar(query.limit(1)) is not None

    def claim(self, owner: str, lease_s: float = LEASE_S) -> Job | None:
        """Take the oldest waiting job under a lease, or return None. Ends dead leases first."""
        now = time.time()
        with self._engine.begin() as connection:
            _give_up(connection, JOBS.c.lease_ends_at < now)
            oldest = select(JOBS.c.video_id).where(JOBS.c.status == Status.QUEUED.value)
            video_id = connection.scalar(oldest.order_by(JOBS.c.number).limit(1))
            if video_id is None:
                return None
            connection.execute(
                _change(video_id).values(
                    status=Status.IN_PROGRESS.value,
                    owner=owner,
                    lease_ends_at=now + lease_s,
                    attempts=JOBS.c.attempts + 1,
                    progress=0,
                )
            )
            return _read(_row(connection, video_id))

    def report(
        self, video_id: str, owner: str, progress: int | None = None, *, lease_s: float = LEASE_S
    ) -> bool:
        """Renew the lease; False when the job is no longer the owner's: stop working on it."""
        values: dict[str, Any] = {"lease_ends_at": time.time() + lease_s}
        if progress is not None:
            values["progress"] = max(0, min(99, progress))
        with self._engine.begin() as connection:
            held = and_(_held_by(owner), ~JOBS.c.deleted)
            done = connection.execute(_change(video_id).where(held).values(**values))
            return done.rowcount == 1

    def complete(self, video_id: str, owner: str, publish: Callable[[], None]) -> bool:
        """Publish and mark completed; False, and nothing published, when it isn't the owner's."""
        with self._engine.begin() as connection:
            held = and_(_held_by(owner), ~JOBS.c.deleted)
            done = connection.execute(
                _change(video_id)
                .where(held)
                .values(
                    status=Status.COMPLETED.value,
                    progress=100,
                    completed_at=time.time(),
                    owner=None,
                    lease_ends_at=None,
                )
            )
            if done.rowcount != 1:
                return False
            publish()
            return True

    def fail(self, video_id: str, owner: str, error: JobError) -> None:
        """Mark the owner's job failed."""
        with self._engine.begin() as connection:
            connection.execute(
                _change(video_id)
                .where(_held_by(owner))
                .values(
                    status=Status.FAILED.value,
                    completed_at=time.time(),
                    error_code=error.code,
                    error_message=error.message,
                    owner=None,
                    lease_ends_at=None,
                )
            )

    def release(self, owner: str, *, blame: bool = True) -> None:
        """Give back what an owner held; `blame=False` where it was stopped on purpose."""
        with self._engine.begin() as connection:
            if not blame:
                connection.execute(
                    sql_update(JOBS).where(_held_by(owner)).values(attempts=JOBS.c.attempts - 1)
                )
            _give_up(connection, JOBS.c.owner == owner)

    def recover(self) -> None:
        """End every lease. Only where no worker can be alive, as at the start of a host."""
        with self._engine.begin() as connection:
            _give_up(connection, true())

    def _reading(self) -> Connection:
        return self._engine.connect().execution_options(read_only=True)


def _give_up(connection: Connection, which: Any) -> None:
    """End matching leases: deleted jobs vanish, first attempts wait again, second ones fail."""
    held = and_(JOBS.c.status == Status.IN_PROGRESS.value, which)
    ended: dict[str, Any] = {"owner": None, "lease_ends_at": None}
    connection.execute(delete(JOBS).where(held, JOBS.c.deleted))
    connection.execute(
        sql_update(JOBS)
        .where(held, JOBS.c.attempts >= MAX_ATTEMPTS)
        .values(
            status=Status.FAILED.value,
            completed_at=time.time(),
            error_code=WORKER_DIED.code,
            error_message=WORKER_DIED.message,
            **ended,
        )
    )
    connection.execute(
        sql_update(JOBS).where(held).values(status=Status.QUEUED.value, progress=0, **ended)
    )


def _change(video_id: str) -> Any:
    return sql_update(JOBS).where(JOBS.c.video_id == video_id)


def _held_by(owner: str) -> Any:
    return and_(JOBS.c.status == Status.IN_PROGRESS.value, JOBS.c.owner == owner)


def _row(connection: Connection, video_id: str) -> Row[Any]:
    query = select(*COLUMNS).where(JOBS.c.video_id == video_id, ~JOBS.c.deleted)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownVideo("video: no video has this id; it was never made or was deleted")
    return row


def _read(row: Row[Any]) -> Job:
    error = None
    if row.error_code is not None:
        error = JobError(code=row.error_code, message=row.error_message)
    return Job(
        video_id=row.video_id,
        order=VideoOrder(
            prompt=row.prompt,
            model=row.model,
            seconds=row.seconds,
            size=row.size,
            seed=row.seed,
            steps=row.steps,
            guidance=row.guidance,
        ),
        status=Status(row.status),
        progress=row.progress,
        created_at=row.created_at,
        completed_at=row.completed_at,
        error=error,
        attempts=row.attempts,
    )


def _configure_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the "begin" event below starts transactions
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA secure_delete=ON")  # a deleted prompt leaves no bytes behind
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


def _begin_immediate(connection: Connection) -> None:
    # A deferred transaction that reads first can't wait for the write lock: it fails at once.
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
