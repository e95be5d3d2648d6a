"""One job through the worker, in this process, over a pipeline that writes real MP4 files."""

import hashlib
import json
import logging
from pathlib import Path

import pytest

from ophora_model.video import read_frames
from ophora_server.errors import UnknownVideo
from ophora_server.generator.job import Job, Status
from ophora_server.generator.order import read_order
from ophora_server.generator.queue import JobQueue
from ophora_server.generator.store import VideoStore
from ophora_server.generator.worker import WorkerPlan, work_on


class Bench:
    """A queue, a store and a plan in one folder."""

    def __init__(self, folder: Path, fake) -> None:
        self.fake = fake
        self.queue = JobQueue(folder / "queue.sqlite")
        self.videos = folder / "videos"
        self.store = VideoStore(self.videos)
        self.plan = WorkerPlan(
            owner="w",
            queue_path=folder / "queue.sqlite",
            videos=self.videos,
            release_sha256="ab" * 32,
            make_pipeline=fake.load_fake,
        )

    def run(self, prompt: str, pipeline=None) -> tuple[Job, bool]:
        self.queue.add(read_order({"prompt": prompt, "seed": 5}, self.fake.OFFER))
        job = self.queue.claim("w")
        assert job is not None
        healthy = work_on(job, pipeline or self.fake.load_fake(), self.queue, self.store, self.plan)
        return job, healthy


@pytest.fixture
def bench(tmp_path: Path, fake):
    made = Bench(tmp_path, fake)
    yield made
    made.queue.close()


def test_a_job_becomes_a_playable_video_with_its_provenance(bench: Bench) -> None:
    job, healthy = bench.run("an incision")
    assert healthy
    assert bench.queue.get(job.video_id).status is Status.COMPLETED
    video = bench.store.video(job.video_id)
    assert read_frames(video, frames=9, height=64, width=96, fps=2.0).shape == (9, 64, 96, 3)
    record = json.loads(bench.store.provenance(job.video_id).read_text())
    assert record["synthetic"] is True
    assert record["seed"] == 5
    assert record["release_sha256"] == "ab" * 32
    assert record["prompt_sha256"] == hashlib.sha256(b"an incision").hexdigest()
    assert record["video_sha256"] == hashlib.sha256(video.read_bytes()).hexdigest()
    assert "an incision" not in json.dumps(record)
    assert {path.name for path in bench.videos.iterdir()} == {
        f"{job.video_id}.mp4",
        f"{job.video_id}.json",
    }


def test_a_foreign_error_fails_the_job_without_the_prompt_and_retires_the_pipeline(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        job, healthy = bench.run("broken for Miller")
    assert not healthy
    failed = bench.queue.get(job.video_id)
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.code == "generation_failed"
    assert "Miller" not in caplog.text + failed.error.message
    assert job.video_id in caplog.text
    assert list(bench.videos.iterdir()) == []


def test_a_refusal_by_the_model_part_keeps_the_pipeline(bench: Bench) -> None:
    job, healthy = bench.run("refused")
    assert healthy
    failed = bench.queue.get(job.video_id)
    assert failed.error is not None
    assert failed.error.message == "steps=0: must be > 0"


def test_a_video_deleted_while_it_is_made_stops_at_the_next_step_and_leaves_nothing(
    bench: Bench,
) -> None:
    steps_done: list[int] = []

    class Deleting(bench.fake.FakePipeline):
        def render(self, order, path, *, on_step, cancelled):
            def delete_after_two(done: int, total: int) -> None:
                steps_done.append(done)
                if done == 2:
                    bench.queue.delete(next(iter(bench.queue.video_ids())))
                on_step(done, total)

            return super().render(order, path, on_step=delete_after_two, cancelled=cancelled)

    job, healthy = bench.run("an incision", Deleting())
    assert healthy
    assert steps_done == [1, 2]
    with pytest.raises(UnknownVideo):
        bench.queue.get(job.video_id)
    assert not bench.queue.is_running(job.video_id)
    assert list(bench.videos.iterdir()) == []


def test_a_path_never_comes_from_a_foreign_id(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a video id"):
        VideoStore(tmp_path).video("../../etc/passwd")
