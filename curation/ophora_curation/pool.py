"""Worker processes for many videos: one job each at a time, replaced when they die.

A crash or a time-out costs the video that caused it and nothing else. Leaving the `with`, also by
Ctrl-C, ends every worker.
"""

import multiprocessing
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Self

from ophora_curation.store.records import VideoOutcome
from ophora_curation.video import VideoJob
from ophora_curation.worker import WorkerSetup, work

_TICK_S = 0.2
_GRACE_S = 3.0


@dataclass(slots=True)
class _Seat:
    process: SpawnProcess
    connection: Connection
    job: VideoJob | None = None
    started_s: float = 0.0


class WorkerPool:
    """Use in a `with`; `run` yields outcomes as they come, in no order."""

    def __init__(self, setup: WorkerSetup, num_workers: int, *, timeout_s: float) -> None:
        self._setup = setup
        self._num_workers = num_workers
        self._timeout_s = timeout_s
        self._context = multiprocessing.get_context("spawn")
        self._seats: list[_Seat] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for seat in self._seats:
            if seat.job is not None:
                seat.process.terminate()
            seat.connection.close()  # an idle worker ends when its pipe does
        for seat in self._seats:
            seat.process.join(_GRACE_S)
            if seat.process.is_alive():
                seat.process.kill()
                seat.process.join()
        self._seats.clear()

    def run(self, jobs: Iterable[VideoJob]) -> Iterator[tuple[VideoOutcome, str]]:
        """Yield each job's outcome with the kind of an unexpected error, or ""."""
        waiting = iter(jobs)
        exhausted = False
        while True:
            while not exhausted and (seat := self._free_seat()) is not None:
                job = next(waiting, None)
                if job is None:
                    exhausted = True
                    break
                self._assign(seat, job)
            busy = [seat for seat in self._seats if seat.job is not None]
            if not busy:
                return
            wait(
                [item for seat in busy for item in (seat.connection, seat.process.sentinel)],
                timeout=_TICK_S,
            )
            for seat in busy:
                result = self._collect(seat)
                if result is not None:
                    yield result

    def _free_seat(self) -> _Seat | None:
        for seat in self._seats:
            if seat.job is None and seat.process.is_alive():
                return seat
        if len(self._seats) < self._num_workers:
            self._seats.append(self._seat())
            return self._seats[-1]
        return None

    def _seat(self) -> _Seat:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=work, args=(theirs, self._setup), daemon=True)
        # a worker is born deaf to Ctrl-C: the parent hears it and ends its workers
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return _Seat(process=process, connection=ours)

    def _assign(self, seat: _Seat, job: VideoJob) -> None:
        seat.job, seat.started_s = job, time.monotonic()
        try:
            seat.connection.send(job)
        except OSError:  # it died idle; `_collect` finds it dead
            return

    def _collect(self, seat: _Seat) -> tuple[VideoOutcome, str] | None:
        assert seat.job is not None
        try:
            if seat.connection.poll():
                outcome, kind = seat.connection.recv()
                seat.job = None
                return outcome, kind
        except (EOFError, OSError):
            return self._replace(seat, "worker-died")
        if not seat.process.is_alive():
            return self._replace(seat, "worker-died")
        if time.monotonic() - seat.started_s > self._timeout_s:
            return self._replace(seat, "timed-out")
        return None

    def _replace(self, seat: _Seat, reason: str) -> tuple[VideoOutcome, str]:
        """Give up on the seat's video and free its place for a new worker."""
        job = seat.job
        assert job is not None
        seat.process.kill()
        seat.process.join()
        seat.connection.close()
        self._seats.remove(seat)
        return job.refused(reason), ""
