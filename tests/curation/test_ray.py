"""The same two stages on Ray's actors: a real Ray on this machine, faked work."""

import builtins
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import curation_fakes
from curation_fakes import begin_fake, fake_job, setup_in
from ophora_curation.errors import SettingsError, StoreFull
from ophora_curation.job import VideoJob
from ophora_curation.pool import Finished, WorkerPool
from ophora_curation.run.process_seat import ProcessSeats
from ophora_curation.run.ray_seat import RaySeats
from ophora_curation.run.task import WorkerSetup


def outcomes(pool: WorkerPool, jobs: Iterator[VideoJob]) -> list[tuple[str, object]]:
    with pool:
        found = [event for event in pool.run(jobs) if isinstance(event, Finished)]
    return sorted((event.job.video_id, event.outcome) for event in found)


@pytest.fixture(autouse=True)
def _actors_find_the_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(curation_fakes.__file__).parent))


def on_ray(setup: WorkerSetup) -> WorkerPool:
    return WorkerPool(RaySeats(setup, begin_fake), setup.execution)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_actors_give_what_processes_give(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    fates = ("good", "look:refused", "look:die", "look:hang", "curate:memory", "curate:die", "good")
    jobs = [fake_job(number, what) for number, what in enumerate(fates)]
    setup = setup_in(tmp_path, workers=2, video_timeout_s=4.0, memory_mb=1024, executor="ray")
    expected = outcomes(WorkerPool(ProcessSeats(setup, begin_fake), setup.execution), iter(jobs))
    assert outcomes(on_ray(setup), iter(jobs)) == expected
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dead_actor_costs_one_video_and_a_full_store_stops_the_run(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    import psutil

    setup = setup_in(tmp_path, workers=1, executor="ray")
    killed: list[int] = []

    def jobs() -> Iterator[VideoJob]:
        yield fake_job(0)
        for process in psutil.Process().children(recursive=True):
            if "SeatHolder" in " ".join(process.cmdline()):
                os.kill(process.pid, signal.SIGKILL)
                killed.append(process.pid)
        yield from (fake_job(number) for number in range(1, 6))

    found = outcomes(on_ray(setup), jobs())
    reasons = [outcome.video.reasons for _, outcome in found]  # type: ignore[attr-defined]
    assert killed
    assert len(found) == 6
    assert 1 <= reasons.count(("worker-died",)) <= len(killed)
    assert reasons.count(()) == 6 - reasons.count(("worker-died",))
    with pytest.raises(StoreFull, match="make room"):
        outcomes(on_ray(setup), iter([fake_job(1, "curate:store")]))


def test_without_ray_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = builtins.__import__

    def missing(name: str, *rest: object) -> object:
        if name == "ray":
            raise ImportError("no ray")
        return known(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    with pytest.raises(SettingsError, match=r"install ophora-federated\[ray\]"):
        RaySeats(setup_in(tmp_path, executor="ray"))
