"""Stages without a model: a job's recipe says what happens to it, and in which stage."""

import os
import signal
import time
from pathlib import Path

from ophora_curation.errors import SettingsError, StoreFull, VideoRefused
from ophora_curation.execution import ExecutionSettings
from ophora_curation.job import VideoJob
from ophora_curation.run.task import Stage, Task, WorkerSetup
from ophora_curation.settings import CurationPaths, CurationSettings
from ophora_curation.store.records import VideoOutcome, VideoRow
from ophora_curation.text.refining import RefineSettings


def fake_job(number: int, what: str = "good") -> VideoJob:
    """A job that goes as `what` says: "good" or "<stage>:<fate>"."""
    return VideoJob(
        path=Path("/nowhere"), video_id=f"v{number}", patient_id="p", sha256="s", recipe=what
    )


def setup_in(folder: Path, **execution: object) -> WorkerSetup:
    """A setup whose folders lie in `folder`."""
    return WorkerSetup(
        settings=CurationSettings(),
        refine=RefineSettings(),
        execution=ExecutionSettings(**execution),  # type: ignore[arg-type]
        out=paths_in(folder),
        key=bytes(32),
    )


def paths_in(folder: Path) -> CurationPaths:
    """The places of a site's curation."""
    return CurationPaths(
        manifest=folder / "manifest.sqlite",
        clips=folder / "clips",
        held=folder / "held",
        certificates=folder / "certificates",
    )


def begin_fake(stage: Stage, setup: WorkerSetup):  # type: ignore[no-untyped-def]
    """As `begin_stage`; the folder of clips is where pids are written."""

    def work(task: Task) -> VideoRow | VideoOutcome:
        where, _, fate = task.job.recipe.rpartition(":")
        if where == stage:
            _meet(fate, task)
        row = VideoRow(
            video_id=task.job.video_id,
            patient_id="p",
            sha256="s",
            recipe=task.job.recipe,
            status="curated",
            duration_s=2.0,
            codec=stage,
        )
        return row if stage == "look" else VideoOutcome(video=row)  # type: ignore[return-value]

    return work


def begin_late(stage: Stage, setup: WorkerSetup):  # type: ignore[no-untyped-def]
    """As `begin_fake`, after more time than a video may take."""
    time.sleep(setup.execution.video_timeout_s + 0.5)
    return begin_fake(stage, setup)


def begin_dead(stage: Stage, setup: WorkerSetup):  # type: ignore[no-untyped-def]
    """A worker that can't start."""
    os._exit(3)


def _meet(fate: str, task: Task) -> None:
    match fate:
        case "hang":
            time.sleep(600)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "memory":
            held = []
            while True:
                held.append(bytearray(64 << 20))
        case "error":
            raise KeyError("Mary Poe")
        case "refused":
            raise VideoRefused("too-short")
        case "full":
            raise OSError(28, "No space left on device", "/site/Mary Poe")
        case "store":
            raise StoreFull("make room")
        case "setting":
            raise SettingsError("endpoint: refused")
        case "shout":
            os.write(1, b"Mary Poe")
            os.write(2, b"Mary Poe")
        case "slow":
            time.sleep(0.3)
