"""The queue on a real SQLite file: nothing lost, nothing published twice."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from ophora_server.errors import InvalidRequest, QueueFull, UnknownVideo
from ophora_server.generator import queue as queue_module
from ophora_server.generator.job import Job, JobError, Status
from ophora_server.generator.order import VideoOrder
from ophora_server.generator.queue import JobQueue


def order(prompt: str = "an incision") -> VideoOrder:
    return VideoOrder(
        prompt=prompt, model="m", seconds="4", size="96x64", seed=1, steps=4, guidance=3.0
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.sqlite"


@pytest.fixture
def queue(path: Path) -> Iterator[JobQueue]:
    with JobQueue(path) as opened:
        yield opened


def claim(queue: JobQueue, owner: str, lease_s: float = 30) -> Job:
    job = queue.claim(owner, lease_s)
    assert job is not None
    return job


def test_jobs_survive_the_process_and_are_claimed_in_order(path: Path) -> None:
    with JobQueue(path) as first:
        ids = [first.add(order()).video_id for _ in range(3)]
    with JobQueue(path) as second:
        assert [claim(second, "w").video_id for _ in range(3)] == ids
        assert second.claim("w") is None


def test_many_workers_claim_each_job_once(path: Path, queue: JobQueue) -> None:
    for _ in range(20):
        queue.add(order())

    def drain(owner: str) -> list[str]:
        with JobQueue(path) as own:
            taken = []
            while (job := own.claim(owner)) is not None:
                taken.append(job.video_id)
            return taken

    with ThreadPoolExecutor(4) as pool:
        claimed = [one for taken in pool.map(drain, "abcd") for one in taken]
    assert len(claimed) == len(set(claimed)) == 20


def test_a_dead_owners_job_waits_once_more_then_fails(queue: JobQueue) -> None:
    video_id = queue.add(order()).video_id
    claim(queue, "first")
    queue.release("first")
    assert queue.get(video_id).status is Status.QUEUED
    claim(queue, "second")
    queue.release("second")
    job = queue.get(video_id)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "worker_died"


def test_an_owner_stopped_on_purpose_costs_no_attempt(queue: JobQueue) -> None:
    video_id = queue.add(order()).video_id
    for owner in ("a", "b", "c"):
        claim(queue, owner)
        queue.release(owner, blame=False)
    assert queue.get(video_id).status is Status.QUEUED
    assert queue.get(video_id).attempts == 0


def test_a_worker_that_lost_its_lease_can_neither_report_nor_publish(queue: JobQueue) -> None:
    video_id = queue.add(order()).video_id
    claim(queue, "slow", lease_s=0.01)
    time.sleep(0.02)
    assert queue.has_work()
    assert claim(queue, "fresh").video_id == video_id
    published: list[str] = []
    assert not queue.report(video_id, "slow", 50)
    assert not queue.complete(video_id, "slow", lambda: published.append("slow"))
    queue.fail(video_id, "slow", JobError(code="c", message="m"))
    assert queue.complete(video_id, "fresh", lambda: published.append("fresh"))
    assert published == ["fresh"]
    assert queue.get(video_id).status is Status.COMPLETED


def test_a_failed_publish_leaves_the_job_uncompleted(queue: JobQueue) -> None:
    video_id = queue.add(order()).video_id
    claim(queue, "w")

    def disk_full() -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        queue.complete(video_id, "w", disk_full)
    assert queue.get(video_id).status is Status.IN_PROGRESS


def test_renewing_keeps_a_lease(queue: JobQueue) -> None:
    video_id = queue.add(order()).video_id
    claim(queue, "w", lease_s=0.05)
    assert queue.report(video_id, "w", 40, lease_s=30)
    time.sleep(0.06)
    assert queue.claim("other") is None
    assert queue.get(video_id).progress == 40


def test_deleting_a_running_job_hides_it_and_stops_its_worker(queue: JobQueue, path: Path) -> None:
    video_id = queue.add(order("Miller")).video_id
    claim(queue, "w")
    queue.delete(video_id)
    with pytest.raises(UnknownVideo):
        queue.get(video_id)
    assert queue.page(limit=5, order="desc", after=None).jobs == ()
    assert queue.is_running(video_id)
    assert not queue.report(video_id, "w", 10)
    queue.release("w")
    assert not queue.is_running(video_id)
    assert queue.claim("other") is None
    queue.close()
    assert b"Miller" not in path.read_bytes()


def test_pages_follow_each_other_in_both_orders(queue: JobQueue) -> None:
    ids = [queue.add(order()).video_id for _ in range(5)]
    first = queue.page(limit=2, order="desc", after=None)
    assert [job.video_id for job in first.jobs] == ids[:2:-1]
    assert first.has_more
    rest = queue.page(limit=3, order="desc", after=first.jobs[-1].video_id)
    assert [job.video_id for job in rest.jobs] == ids[2::-1]
    assert not rest.has_more
    assert queue.page(limit=9, order="asc", after=ids[3]).jobs[0].video_id == ids[4]
    with pytest.raises(InvalidRequest):
        queue.page(limit=2, order="asc", after="video_unknown")


def test_a_full_queue_refuses(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "MAX_WAITING", 2)
    queue.add(order())
    queue.add(order())
    with pytest.raises(QueueFull, match="at most 2"):
        queue.add(order())


def test_a_database_error_does_not_quote_the_prompt(queue: JobQueue) -> None:
    with queue._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE jobs")
        connection.exec_driver_sql("CREATE TABLE jobs (status TEXT)")
    with pytest.raises(OperationalError) as caught:
        queue.add(order("Miller"))
    assert "Miller" not in str(caught.value)
