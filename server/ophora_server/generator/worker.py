"""The worker process: one pipeline, one job at a time, from the queue into the video store.

claim -> render into a draft -> provenance -> complete (which publishes). A step boundary is where a
job can be stopped: each one reports progress, and learns there that its video was deleted or its
lease lost. A thread renews the lease during steps that take long. The process ends with its parent.
"""

import ctypes
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Protocol, Self

from ophora_model.errors import ModelError
from ophora_privacy.watch.log import Log, start_logging
from ophora_server.generator.job import Job, JobError
from ophora_server.generator.order import VideoOrder
from ophora_server.generator.provenance import provenance_of, write_provenance
from ophora_server.generator.queue import LEASE_S, JobQueue
from ophora_server.generator.store import VideoStore

POLL_S = 0.2
SAMPLING_SHARE = 95  # percent of progress that the steps make up; decoding and writing are the rest
EXIT_PIPELINE_BROKEN = 3
GENERATION_FAILED = JobError(
    code="generation_failed",
    message="the generator failed on this video; the operator's log names the cause by its id",
)
_PR_SET_PDEATHSIG = 1

_LOG = Log("generator")


class Pipeline(Protocol):
    """A loaded generator. Not thread-safe, hence one worker per pipeline."""

    def render(
        self,
        order: VideoOrder,
        path: Path,
        *,
        on_step: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> Mapping[str, object]:
        """Write the video to `path` and return the sampler's record, as plain values.

        Calls `on_step(done, total)` after each step and stops soon after `cancelled()` is true,
        by returning or by raising; what it wrote is then ignored.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What a worker needs to know. `make_pipeline` must be importable: it is pickled by name."""

    owner: str
    queue_path: Path
    videos: Path
    release_sha256: str
    make_pipeline: Callable[[], Pipeline]
    lease_s: float = LEASE_S


def new_owner() -> str:
    """A fresh name for one worker process; never used twice."""
    return secrets.token_hex(8)


def run_worker(plan: WorkerPlan, ready: Event) -> None:
    """Entry point of the worker process: load the pipeline, say so, and work until killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the parent decides
    end_with_parent()
    start_logging()
    store = VideoStore(plan.videos)
    with JobQueue(plan.queue_path) as queue:
        pipeline = plan.make_pipeline()
        ready.set()
        while True:
            job = queue.claim(plan.owner, plan.lease_s) if queue.has_work() else None
            if job is None:
                time.sleep(POLL_S)
            elif not work_on(job, pipeline, queue, store, plan):
                sys.exit(EXIT_PIPELINE_BROKEN)


def work_on(
    job: Job, pipeline: Pipeline, queue: JobQueue, store: VideoStore, plan: WorkerPlan
) -> bool:
    """Carry one claimed job to its end; False when the pipeline may be broken after it.

    An unforeseen error (a device error stays until the process ends) makes the pipeline suspect: a
    fresh process should take over. A refusal by the model part does not.
    """
    draft = store.draft(job.video_id, plan.owner)
    lease = Lease(queue, job.video_id, plan)
    try:
        with lease:
            record = pipeline.render(
                job.order, draft, on_step=lease.on_step, cancelled=lambda: lease.lost
            )
            if not lease.lost:
                _finish(job, draft, record, queue, store, plan)
    except ModelError as error:
        if not lease.lost:
            _fail(job, queue, plan, JobError(code="generation_refused", message=str(error)), error)
    except Exception as error:
        _fail(job, queue, plan, GENERATION_FAILED, error)
        return False
    finally:
        store.drop(draft)
        queue.release(plan.owner)  # holds something only if it was stopped: a deleted job vanishes
    return True


def _finish(
    job: Job,
    draft: Path,
    record: Mapping[str, object],
    queue: JobQueue,
    store: VideoStore,
    plan: WorkerPlan,
) -> None:
    provenance = provenance_of(
        draft,
        video_id=job.video_id,
        order=job.order,
        release_sha256=plan.release_sha256,
        sampler=record,
    )
    write_provenance(draft.with_suffix(".json"), provenance)
    queue.complete(job.video_id, plan.owner, lambda: store.publish(job.video_id, draft))


def _fail(job: Job, queue: JobQueue, plan: WorkerPlan, reason: JobError, error: Exception) -> None:
    # Only the kind of error and its place: the text of a foreign one may quote the prompt.
    _LOG.failed("generation-failed", error, video=job.video_id)
    queue.fail(job.video_id, plan.owner, reason)


class Lease:
    """Keeps one job this worker's while the block runs; `lost` turns true once it isn't."""

    def __init__(self, queue: JobQueue, video_id: str, plan: WorkerPlan) -> None:
        self._queue = queue
        self._video_id = video_id
        self._plan = plan
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    @property
    def lost(self) -> bool:
        """True when the video was deleted or another worker has the job."""
        return self._lost.is_set()

    def on_step(self, done: int, total: int) -> None:
        """Report a finished step and learn whether to go on."""
        self._report(SAMPLING_SHARE * done // max(total, 1))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._ended.wait(self._plan.lease_s / 3):
            self._report(None)

    def _report(self, progress: int | None) -> None:
        held = self._queue.report(
            self._video_id, self._plan.owner, progress, lease_s=self._plan.lease_s
        )
        if not held:
            self._lost.set()


def end_with_parent() -> None:
    """Arrange that this process ends when the one that started it does, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
