"""A worker process on this machine, seen from the run: give it a task, ask for its answer, end it.

The process is a fresh interpreter without a terminal, so that no state, thread or open file of the
parent is in it, and it is born deaf to Ctrl-C: the parent hears it and ends its workers.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from ophora_curation.pool import SeatDied
from ophora_curation.run.faults import kind_of
from ophora_curation.run.stages import Begin, begin_stage
from ophora_curation.run.task import Answer, Stage, Task, WorkerSetup, read_answer
from ophora_curation.source.sandbox import Confinement

_LOG = logging.getLogger("ophora.curation")
_GRACE_S = 3.0
_TICK_S = 0.2
_CODE = (
    "import sys; sys.path[:] = {path!r}; import ophora_curation.worker as w; w.main({fd}, {pid})"
)
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",  # address space is limited, and each arena reserves 64 MB
    "PYTHONDONTWRITEBYTECODE": "1",
}


class ProcessSeat:
    """One worker process; `answer` raises `SeatDied` where it is gone."""

    def __init__(self, stage: Stage, setup: WorkerSetup, begin: Begin = begin_stage) -> None:
        self.stage = stage
        self.confinement: Confinement | None = None
        self._task: Task | None = None  # to be sent once the process listens
        self.connection, theirs = Pipe()
        self._process = _start(theirs)
        theirs.close()
        self._send((stage, setup, begin))

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def has_begun(self) -> bool:
        """Whether the process has its limits and its imports."""
        return self.confinement is not None

    @property
    def is_alive(self) -> bool:
        """Whether it can be given a task."""
        return self._process.poll() is None

    def give(self, task: Task) -> None:
        """Hand over a task; a process that is still starting gets it once it listens."""
        if self.has_begun:
            self._send(task)
        else:
            self._task = task

    def answer(self) -> Answer | None:
        """The task's answer; None while there is none. Raises `SeatDied`."""
        try:
            if not self.connection.poll():
                return None
            found = read_answer(self.connection.recv_bytes())
        except EOFError as error:
            raise SeatDied from error
        except Exception as error:  # whatever a broken process sent
            raise SeatDied(kind_of(error)) from error
        if isinstance(found, Answer):
            return found
        if not isinstance(found, Confinement) or self.has_begun:
            raise SeatDied
        self.confinement = found
        if self._task is not None:
            self._send(self._task)
            self._task = None
        return None

    def end(self, *, now: bool) -> None:
        """End the process and wait for it; an idle one may leave by itself."""
        self.connection.close()
        if now:
            self._process.kill()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, what: object) -> None:
        try:
            self.connection.send(what)
        except OSError:  # it died idle; `answer` finds it dead
            return


class ProcessSeats:
    """Makes seats on this machine."""

    start_limit_s = 120.0

    def __init__(self, setup: WorkerSetup, begin: Begin = begin_stage) -> None:
        self._setup = setup
        self._begin = begin
        self._logged: set[Stage] = set()

    def make(self, stage: Stage) -> ProcessSeat:
        """Start a process for a stage."""
        return ProcessSeat(stage, self._setup, self._begin)

    def wait(self, seats: Sequence[ProcessSeat], timeout_s: float) -> None:
        """Until one of them has something to say."""
        for seat in seats:
            if seat.confinement is not None and seat.stage not in self._logged:
                self._logged.add(seat.stage)
                _LOG.info("worker stage=%s %s", seat.stage, seat.confinement)
        wait([seat.connection for seat in seats], timeout=timeout_s)

    def close(self) -> None:
        """Nothing is left once every seat has ended."""


def ask(seat: ProcessSeat, task: Task, limit_s: float) -> Answer:
    """Give a task and wait for its answer; the process ends where there is none."""
    seat.give(task)
    since_s, had_begun = time.monotonic(), seat.has_begun
    while True:
        wait([seat.connection], timeout=_TICK_S)
        try:
            answer = seat.answer()
        except SeatDied as death:
            seat.end(now=True)
            return Answer(reason="worker-died", kind=str(death), is_spent=True)
        if answer is not None:
            return answer
        if seat.has_begun != had_begun:
            since_s, had_begun = time.monotonic(), True
        if time.monotonic() - since_s > (limit_s if had_begun else ProcessSeats.start_limit_s):
            seat.end(now=True)
            return Answer(reason="timed-out", is_spent=True)


def _start(pipe: Connection) -> subprocess.Popen[bytes]:
    descriptor = pipe.fileno()
    code = _CODE.format(path=[each for each in sys.path if each], fd=descriptor, pid=os.getpid())
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**_ENVIRONMENT, **os.environ},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
