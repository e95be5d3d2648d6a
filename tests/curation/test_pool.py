"""Two stages of real worker processes, whose work is faked: what each fault costs."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from curation_fakes import begin_dead, begin_fake, begin_late, fake_job, setup_in
from ophora_curation.errors import CurationError, SettingsError, StoreFull
from ophora_curation.job import VideoJob
from ophora_curation.pool import Finished, Looked, WorkerPool, look_seats
from ophora_curation.run.process_seat import ProcessSeats


def pool_for(folder: Path, **execution: object) -> WorkerPool:
    setup = setup_in(folder, **execution)
    return WorkerPool(ProcessSeats(setup, begin_fake), setup.execution)


def fates(pool: WorkerPool, jobs: Iterator[VideoJob]) -> dict[str, tuple[str, ...]]:
    with pool:
        return {
            event.job.video_id: event.outcome.video.reasons
            for event in pool.run(jobs)
            if isinstance(event, Finished)
        }


def test_every_fault_costs_its_own_video(tmp_path: Path) -> None:
    wanted = {
        "good": (),
        "look:refused": ("too-short",),
        "look:error": ("failed",),
        "look:die": ("worker-died",),
        "look:memory": ("out-of-memory",),
        "look:hang": ("timed-out",),
        "look:shout": (),
        "curate:refused": ("too-short",),
        "curate:error": ("failed",),
        "curate:die": ("worker-died",),
        "curate:memory": ("out-of-memory",),
        "curate:hang": ("timed-out",),
    }
    jobs = [fake_job(number, what) for number, what in enumerate([*wanted, "good"])]
    pool = pool_for(tmp_path, workers=2, video_timeout_s=4.0, memory_mb=1024)
    assert sorted(fates(pool, iter(jobs)).items()) == sorted(
        (f"v{number}", reasons) for number, reasons in enumerate([*wanted.values(), ()])
    )


def test_an_error_is_told_by_kind_and_never_by_its_text(tmp_path: Path) -> None:
    with pool_for(tmp_path) as pool:
        events = list(pool.run(iter([fake_job(1, "curate:error")])))
    (finished,) = (event for event in events if isinstance(event, Finished))
    assert finished.kind.startswith("KeyError@curation_fakes.py:")
    assert "Poe" not in repr(finished)


@pytest.mark.parametrize(
    ("what", "error"),
    [("full", StoreFull), ("store", StoreFull), ("setting", SettingsError)],
)
def test_what_no_video_can_survive_stops_the_run(
    tmp_path: Path, what: str, error: type[Exception]
) -> None:
    with (
        pytest.raises(error) as caught,
        pool_for(tmp_path) as pool,
    ):
        list(pool.run(fake_job(number, f"curate:{what}") for number in range(50)))
    assert "Poe" not in str(caught.value)


def test_the_time_limit_counts_from_when_the_worker_is_ready(tmp_path: Path) -> None:
    setup = setup_in(tmp_path, video_timeout_s=1.0)
    pool = WorkerPool(ProcessSeats(setup, begin_late), setup.execution)
    jobs = (fake_job(number, "look:slow") for number in range(4))
    assert set(fates(pool, jobs).values()) == {()}


def test_stages_overlap_and_the_queue_between_them_is_bounded(tmp_path: Path) -> None:
    met = {"waiting": 0, "both": 0, "seats": 0}
    with pool_for(tmp_path, workers=2) as pool:
        for event in pool.run(fake_job(number, "curate:slow") for number in range(12)):
            counts = pool.counts
            met["waiting"] = max(met["waiting"], counts.waiting)
            met["both"] += isinstance(event, Looked) and counts.curating > 0
            met["seats"] = max(met["seats"], len(pool._places))
    assert met["seats"] == 3  # one looks, two curate
    assert 1 <= met["waiting"] <= 3
    assert met["both"] > 0


@pytest.mark.parametrize(("workers", "lookers"), [(1, 1), (3, 1), (4, 2), (9, 3), (10, 4)])
def test_a_third_as_many_look_as_curate(workers: int, lookers: int) -> None:
    assert look_seats(workers) == lookers


def test_an_idle_worker_that_died_is_replaced(tmp_path: Path) -> None:
    with pool_for(tmp_path) as pool:

        def jobs() -> Iterator[VideoJob]:
            yield fake_job(1)
            victims = [place.seat.pid for place in pool._places]  # type: ignore[attr-defined]
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
            time.sleep(0.2)
            yield fake_job(2)
            yield fake_job(3)

        events = [event for event in pool.run(jobs()) if isinstance(event, Finished)]
    reasons = {event.job.video_id: event.outcome.video.reasons for event in events}
    assert reasons["v2"] == reasons["v3"] == ()


def test_leaving_ends_every_worker(tmp_path: Path) -> None:
    pool = pool_for(tmp_path, workers=2)
    with pool:
        run = pool.run(fake_job(number, "curate:hang") for number in range(4))
        assert isinstance(next(run), Looked)
        pids = [place.seat.pid for place in pool._places]  # type: ignore[attr-defined]
    assert pids
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_workers_that_cannot_start_stop_the_run(tmp_path: Path) -> None:
    setup = setup_in(tmp_path)
    with (
        pytest.raises(CurationError, match="3 workers died as they started"),
        WorkerPool(ProcessSeats(setup, begin_dead), setup.execution) as pool,
    ):
        list(pool.run(fake_job(number) for number in range(10)))
