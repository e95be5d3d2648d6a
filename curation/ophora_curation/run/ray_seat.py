"""Workers on a Ray cluster: an actor holds one worker process of its machine and passes tasks on.

So a video is opened with the very same limits as without Ray: Ray's own process needs the network
and maps gigabytes of shared memory, and can't be confined; the worker below it is. All machines
must see the folders of videos and of the site under the same paths. Between machines the site's
key and the answers travel through Ray: run it inside the site's network, with Ray's TLS where
others share it.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Sequence
from typing import Any

from ophora_curation.errors import SettingsError
from ophora_curation.pool import SeatDied, look_seats
from ophora_curation.run.process_seat import ProcessSeat, ask
from ophora_curation.run.stages import Begin, begin_stage
from ophora_curation.run.task import Answer, Stage, Task, WorkerSetup

_STORE_BYTES = 256 << 20  # looks are a few MB


class SeatHolder:
    """The actor: one worker process, replaced when it has died."""

    def __init__(self, stage: Stage, setup: WorkerSetup, begin: Begin) -> None:
        self._told = (stage, setup, begin)
        self._seat = ProcessSeat(*self._told)
        self._limit_s = setup.execution.video_timeout_s

    def begun(self) -> bool:
        """Answers once the actor is there."""
        return True

    def work(self, task: Task) -> Answer:
        """One task, within its time."""
        if not self._seat.is_alive:
            self._seat.end(now=True)
            self._seat = ProcessSeat(*self._told)
        return ask(self._seat, task, self._limit_s)

    def end(self) -> None:
        """End the process below."""
        self._seat.end(now=True)


class RaySeat:
    """One actor, seen from the run."""

    def __init__(self, ray: Any, actor: Any, stage: Stage) -> None:
        self.stage = stage
        self._ray = ray
        self._actor = actor
        self._begun = actor.begun.remote()
        self._has_begun = False
        self.answered: Any = None

    @property
    def has_begun(self) -> bool:
        """Whether the cluster had room for the actor and it could start."""
        if not self._has_begun and self._ray.wait([self._begun], timeout=0)[0]:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._has_begun = bool(self._ray.get(self._begun))
        return self._has_begun

    @property
    def is_alive(self) -> bool:
        """Whether it can be given a task; a dead actor is found when it is asked."""
        return True

    def give(self, task: Task) -> None:
        """Send a task to the actor."""
        self.answered = self._actor.work.remote(task)

    def answer(self) -> Answer | None:
        """The task's answer; None while there is none. Raises `SeatDied`."""
        if not self._ray.wait([self.answered], timeout=0)[0]:
            return None
        try:
            found = self._ray.get(self.answered)
        except self._ray.exceptions.RayError as error:
            raise SeatDied from error
        assert isinstance(found, Answer)
        return found

    def end(self, *, now: bool) -> None:
        """End the process and the actor."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            if not now:
                self._ray.get(self._actor.end.remote(), timeout=5.0)
        self._ray.kill(self._actor, no_restart=True)


class RaySeats:
    """Connects to Ray, or starts it on this machine, and makes seats there.

    Raises `SettingsError` where Ray is not installed or can't be reached.
    """

    start_limit_s = 600.0  # a cluster may have to grow first

    def __init__(self, setup: WorkerSetup, begin: Begin = begin_stage) -> None:
        self._setup = setup
        self._begin = begin
        self._ray = _import_ray()
        _connect(self._ray, setup)
        self._holder = self._ray.remote(SeatHolder)

    def make(self, stage: Stage) -> RaySeat:
        """Start an actor for a stage."""
        threads = self._setup.execution.speech_threads if stage == "curate" else 1
        actor = self._holder.options(num_cpus=threads, max_restarts=0, max_task_retries=0).remote(
            stage, self._setup, self._begin
        )
        return RaySeat(self._ray, actor, stage)

    def wait(self, seats: Sequence[RaySeat], timeout_s: float) -> None:
        """Until one of them has an answer."""
        self._ray.wait([seat.answered for seat in seats], timeout=timeout_s)

    def close(self) -> None:
        """Leave Ray; one that this run started ends."""
        self._ray.shutdown()


def _import_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would report to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
    except ImportError as error:
        message = 'executor="ray": Ray is not installed; install ophora-federated[ray]'
        raise SettingsError(message) from error
    return ray


def _connect(ray: Any, setup: WorkerSetup) -> None:
    execution = setup.execution
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if execution.ray_address:
            ray.init(address=execution.ray_address, **quiet)
            return
        curating = execution.workers * execution.speech_threads
        ray.init(
            address="local",
            num_cpus=curating + look_seats(execution.workers),
            object_store_memory=_STORE_BYTES,
            include_dashboard=False,
            **quiet,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        message = (
            f'ray_address="{execution.ray_address}": no Ray answers there; start it, or leave the '
            "address empty to have it started on this machine"
        )
        raise SettingsError(message) from error
