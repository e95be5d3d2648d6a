import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ophora_curation.pool import WorkerPool
from ophora_curation.settings import CurationSettings
from ophora_curation.video import VideoJob
from ophora_curation.worker import WorkerSetup


def job(path: Path, number: int) -> VideoJob:
    return VideoJob(
        path=path, video_id=f"v{number}", patient_id="p", sha256=f"s{number}", recipe="r"
    )


def pool_for(tmp_path: Path, num_workers: int, timeout_s: float = 60.0) -> WorkerPool:
    setup = WorkerSetup(settings=CurationSettings(), clips=tmp_path, key=bytes(32))
    return WorkerPool(setup, num_workers, timeout_s=timeout_s)


def reasons(pool: WorkerPool, jobs: Iterator[VideoJob]) -> dict[str, tuple[str, ...]]:
    return {outcome.video.video_id: outcome.video.reasons for outcome, _ in pool.run(jobs)}


@pytest.mark.slow
def test_a_dead_worker_costs_its_own_video(tmp_path: Path) -> None:
    empty = tmp_path / "a.mp4"
    empty.touch()
    pool = pool_for(tmp_path, 2)

    def jobs() -> Iterator[VideoJob]:
        yield job(empty, 1)
        victim = pool._seats[0].process.pid  # asked for the next job, the first has its worker
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        yield job(empty, 2)
        yield job(empty, 3)

    with pool:
        found = reasons(pool, jobs())
    assert found == {"v1": ("worker-died",), "v2": ("empty",), "v3": ("empty",)}


@pytest.mark.slow
def test_a_video_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    empty = tmp_path / "a.mp4"
    empty.touch()
    with pool_for(tmp_path, 1, timeout_s=0.01) as pool:  # gone before the worker has started
        assert reasons(pool, iter([job(empty, 1)])) == {"v1": ("timed-out",)}


@pytest.mark.slow
def test_leaving_ends_every_worker(tmp_path: Path) -> None:
    empty = tmp_path / "a.mp4"
    empty.touch()
    pool = pool_for(tmp_path, 2)
    with pool:
        run = pool.run(iter([job(empty, number) for number in range(4)]))
        next(run)
        processes = [seat.process for seat in pool._seats]
        run.close()
    assert processes
    assert not any(process.is_alive() for process in processes)
