"""Two stages of workers that overlap: light ones look at videos, the others curate what was seen.

    jobs -> look seats -> bounded queue of looks -> curate seats -> outcomes

What a seat is (a process here, an actor elsewhere) is the maker's business. A crash or a time-out
costs the video that caused it and nothing else. Leaving the `with`, also by Ctrl-C, ends every
seat.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from ophora_curation.errors import CurationError
from ophora_curation.execution import ExecutionSettings
from ophora_curation.job import VideoJob
from ophora_curation.run.task import Answer, Stage, Task
from ophora_curation.store.records import VideoOutcome

_TICK_S = 0.2
_MOST_STILLBORN = 3  # seats in a row that die before they begin


class SeatDied(Exception):
    """The worker is gone, or says what no worker says (then its text is the error's kind)."""


class Seat(Protocol):
    """One worker. It is given a task only when it has none."""

    stage: Stage

    @property
    def has_begun(self) -> bool:
        """Whether it is past its start."""

    @property
    def is_alive(self) -> bool:
        """Whether it can be given a task."""

    def give(self, task: Task) -> None:
        """Hand over a task; must not block."""

    def answer(self) -> Answer | None:
        """The answer, None while there is none. Raises `SeatDied`."""

    def end(self, *, now: bool) -> None:
        """End it and wait for it."""


class SeatMaker(Protocol):
    """Where seats come from."""

    start_limit_s: float

    def make(self, stage: Stage) -> Seat:
        """A new seat."""

    def wait(self, seats: Sequence[Any], timeout_s: float) -> None:
        """Until one of these seats has something to say."""

    def close(self) -> None:
        """Free what is left when all seats have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A video was watched, and waits for a curate seat."""

    job: VideoJob
    footage_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A video has its outcome; `kind` tells of an unexpected error."""

    job: VideoJob
    outcome: VideoOutcome
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCounts:
    """Videos in each stage at this moment."""

    looking: int = 0
    waiting: int = 0
    curating: int = 0


@dataclass(slots=True)
class _Place:
    seat: Seat
    task: Task | None = None
    since_s: float = 0.0
    had_begun: bool = False


class WorkerPool:
    """Use in a `with`; `run` yields what happens as it happens, in no order."""

    def __init__(self, seats: SeatMaker, execution: ExecutionSettings) -> None:
        self._seats = seats
        self._limit_s = execution.video_timeout_s
        self._most = {"look": look_seats(execution.workers), "curate": execution.workers}
        self._places: list[_Place] = []
        self._looked: deque[Task] = deque()
        self._num_stillborn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for place in self._places:
            place.seat.end(now=place.task is not None or not place.seat.has_begun)
        self._places.clear()
        self._seats.close()

    @property
    def counts(self) -> StageCounts:
        """How many videos are where."""
        return StageCounts(
            looking=self._num_busy("look"),
            waiting=len(self._looked),
            curating=self._num_busy("curate"),
        )

    def run(self, jobs: Iterable[VideoJob]) -> Iterator[Looked | Finished]:
        """Yield every job's `Finished`, after its `Looked` where it got so far.

        Raises the `StoreFull` or `SettingsError` that a worker met, and `CurationError` when
        workers can't start.
        """
        waiting = iter(jobs)
        while True:
            self._fill("curate", lambda: self._looked.popleft() if self._looked else None)
            self._fill("look", lambda: self._next_job(waiting))
            busy = [place for place in self._places if place.task is not None]
            if not busy:
                return
            self._seats.wait([place.seat for place in busy], _TICK_S)
            for place in busy:
                event = self._collect(place)
                if event is not None:
                    yield event

    def _fill(self, stage: Stage, next_task: Callable[[], Task | None]) -> None:
        """Give tasks to the stage's free seats while there are both."""
        while self._num_busy(stage) < self._most[stage] and (task := next_task()) is not None:
            place = self._free_place(stage)
            place.task, place.since_s = task, time.monotonic()
            place.seat.give(task)

    def _next_job(self, jobs: Iterator[VideoJob]) -> Task | None:
        """The next video to look at, unless enough of them wait for a curate seat already."""
        if len(self._looked) + self._num_busy("look") >= sum(self._most.values()):
            return None
        job = next(jobs, None)
        return None if job is None else Task(job=job)

    def _free_place(self, stage: Stage) -> _Place:
        for place in list(self._places):
            if place.seat.stage == stage and place.task is None:
                if place.seat.is_alive:
                    return place
                self._remove(place)
        self._places.append(_Place(seat=self._seats.make(stage)))
        return self._places[-1]

    def _num_busy(self, stage: Stage) -> int:
        return sum(place.task is not None and place.seat.stage == stage for place in self._places)

    def _collect(self, place: _Place) -> Looked | Finished | None:
        try:
            answer = place.seat.answer()
        except SeatDied as death:
            self._count_stillborn(place)
            answer = Answer(reason="worker-died", kind=str(death), is_spent=True)
        if answer is None and self._is_late(place):
            answer = Answer(reason="timed-out", is_spent=True)
        return None if answer is None else self._take(place, answer)

    def _is_late(self, place: _Place) -> bool:
        """Whether its time is over; the start of a worker has a limit of its own."""
        now_s = time.monotonic()
        if place.seat.has_begun and not place.had_begun:
            place.had_begun, place.since_s, self._num_stillborn = True, now_s, 0
        limit_s = self._limit_s if place.had_begun else self._seats.start_limit_s
        return now_s - place.since_s > limit_s

    def _take(self, place: _Place, answer: Answer) -> Looked | Finished:
        if answer.stop is not None:
            raise answer.stop
        task, place.task = place.task, None
        assert task is not None
        if answer.is_spent:
            self._remove(place)
        if answer.look is not None:
            self._looked.append(Task(job=task.job, look=answer.look))
            return Looked(job=task.job, footage_s=answer.look.duration_s)
        outcome = answer.outcome or task.job.refused(answer.reason)
        return Finished(job=task.job, outcome=outcome, kind=answer.kind)

    def _count_stillborn(self, place: _Place) -> None:
        self._num_stillborn = 0 if place.seat.has_begun else self._num_stillborn + 1
        if self._num_stillborn >= _MOST_STILLBORN:
            message = (
                f"{_MOST_STILLBORN} workers died as they started: raise memory_mb and "
                "analysis_memory_mb in [execution], or reinstall"
            )
            raise CurationError(message)

    def _remove(self, place: _Place) -> None:
        place.seat.end(now=True)
        self._places.remove(place)


def look_seats(workers: int) -> int:
    """How many workers look while `workers` curate; watching takes about a third of the time."""
    return max(1, math.ceil(workers / 3))
