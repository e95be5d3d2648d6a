"""A whole run without a model: every video of a folder gives four clips, whose bytes follow from
its own, written slowly and in pieces as a real encoder would.

`curate_films` is `curate` with these stages; as a program: `film_fakes.py VIDEOS SITE`.
"""

import hashlib
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from curation_fakes import paths_in
from ophora_curation import pipeline
from ophora_curation.execution import ExecutionSettings
from ophora_curation.job import VideoJob
from ophora_curation.run.process_seat import ProcessSeats
from ophora_curation.run.task import Stage, Task, WorkerSetup
from ophora_curation.settings import CurationPaths, CurationSettings
from ophora_curation.store.records import ClipRow, Tier, VideoOutcome, VideoRow

CLIP_BYTES = 60_000
_PIECES = 4
_TIERS: tuple[Tier, ...] = ("p2ft", "tpt", "quarantine", "rejected")


def make_films(folder: Path, *, patients: int = 3, videos: int = 2) -> Path:
    """A folder of "videos"; every patient's second one has a twin at the next patient's."""
    for patient in range(patients):
        home = folder / f"Poe_{patient}"
        home.mkdir(parents=True)
        for video in range(videos):
            (home / f"{video}.mp4").write_bytes(f"film {patient} {video}".encode() * 50)
        (home / "empty.mp4").touch()
    return folder


def curate_films(
    videos: Path, site: Path, *, progress: Callable[[pipeline.Progress], None] | None = None
) -> pipeline.CurationSummary:
    """Curate with the fake stages, two videos at a time."""
    site.mkdir(exist_ok=True)
    with mock.patch.object(pipeline, "make_seats", lambda setup: ProcessSeats(setup, begin_films)):
        return pipeline.curate(
            videos,
            out=paths_in(site),
            settings=CurationSettings(),
            key=b"k" * 32,
            execution=ExecutionSettings(workers=2),
            progress=progress,
        )


def begin_films(stage: Stage, setup: WorkerSetup):  # type: ignore[no-untyped-def]
    """As `begin_stage`."""
    if stage == "look":
        return lambda task: _row(task.job)
    return lambda task: VideoOutcome(
        video=_row(task.job), clips=tuple(_clip(task, setup.out, n) for n in range(len(_TIERS)))
    )


def _row(job: VideoJob) -> VideoRow:
    return VideoRow(
        video_id=job.video_id,
        patient_id=job.patient_id,
        sha256=job.sha256,
        recipe=job.recipe,
        status="curated",
        duration_s=4.0,
    )


def _clip(task: Task, out: CurationPaths, number: int) -> ClipRow:
    job, tier = task.job, _TIERS[number]
    clip_id = hashlib.sha256(f"{job.video_id}/{job.recipe}/{number}".encode()).hexdigest()[:16]
    content = random.Random(f"{job.sha256}/{number}").randbytes(CLIP_BYTES)
    if tier != "rejected":
        _write(out, tier, clip_id, content)
    return ClipRow(
        clip_id=clip_id,
        video_id=job.video_id,
        patient_id=job.patient_id,
        tier=tier,
        reasons=() if tier == "p2ft" else ("because",),
        instruction="polish the posterior capsule",
        phase=None,
        start_s=float(number),
        end_s=number + 1.0,
        sha256=hashlib.sha256(content).hexdigest() if tier != "rejected" else "",
        residual=0,
        fingerprint=f"{number:02x}" * 64,  # alike in all videos: only one of each kind stays
    )


def _write(out: CurationPaths, tier: Tier, clip_id: str, content: bytes) -> None:
    draft = out.held / f".part-{clip_id}.mp4"
    size = len(content) // _PIECES
    with draft.open("wb") as file:
        for start in range(0, len(content), size):
            file.write(content[start : start + size])
            file.flush()
            time.sleep(0.04)  # a kill at a random moment should meet a draft
        os.fsync(file.fileno())
    draft.replace((out.held if tier == "quarantine" else out.clips) / f"{clip_id}.mp4")


if __name__ == "__main__":
    from film_fakes import curate_films as run  # by a name that workers know

    run(Path(sys.argv[1]), Path(sys.argv[2]))
