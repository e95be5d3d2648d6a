"""Keeps one worker process alive: starts it, gives back what a dead one held, starts the next.

A worker that dies while it works is replaced at once. One that dies before its pipeline is loaded
is tried again twice; then the release can't be served here, and the host is told so.
"""

import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from typing import Literal

from ophora_server.generator.queue import JobQueue
from ophora_server.generator.worker import WorkerPlan, run_worker

MAX_FAILED_STARTS = 3
STOP_TIMEOUT_S = 5.0

WorkerState = Literal["loading", "ready", "stopped", "broken"]


@dataclass(frozen=True, slots=True)
class _Running:
    """A started worker process and what tells that its pipeline is loaded."""

    owner: str
    process: SpawnProcess
    ready: Event


class Supervisor:
    """Runs workers one after the other until stopped; `plan_worker` plans one with a new owner."""

    def __init__(
        self,
        queue: JobQueue,
        plan_worker: Callable[[], WorkerPlan],
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        self._queue = queue
        self._plan_worker = plan_worker
        self._on_broken = on_broken
        self._context = multiprocessing.get_context("spawn")
        self._stopping, self._stopped = self._context.Pipe(duplex=False)
        self._running: _Running | None = None
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    @property
    def state(self) -> WorkerState:
        """How the worker is, in a word."""
        if self._broken:
            return "broken"
        if self._running is None:
            return "stopped"
        return "ready" if self._running.ready.is_set() else "loading"

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker, if one runs."""
        return None if self._running is None else self._running.process.pid

    def start(self) -> None:
        """Start the first worker; returns before it is ready."""
        self._thread.start()

    def stop(self) -> None:
        """End the worker; the job that it held waits again, without blame."""
        self._stopped.send_bytes(b"stop")
        self._thread.join()
        self._stopping.close()
        self._stopped.close()

    def _run(self) -> None:
        failed_starts = 0
        while failed_starts < MAX_FAILED_STARTS:
            running = self._running = self._start_worker()
            wait([running.process.sentinel, self._stopping])
            if self._stopping.poll():
                self._end(running)
                return
            running.process.join()
            self._queue.release(running.owner)
            failed_starts = 0 if running.ready.is_set() else failed_starts + 1
            running.process.close()
        self._running, self._broken = None, True
        self._on_broken()

    def _start_worker(self) -> _Running:
        plan = self._plan_worker()
        ready = self._context.Event()
        process = self._context.Process(
            target=run_worker, args=(plan, ready), name="generator-worker", daemon=True
        )
        process.start()
        return _Running(owner=plan.owner, process=process, ready=ready)

    def _end(self, running: _Running) -> None:
        self._running = None
        running.process.terminate()
        running.process.join(STOP_TIMEOUT_S)
        if running.process.is_alive():
            running.process.kill()
            running.process.join()
        self._queue.release(running.owner, blame=False)
        running.process.close()
