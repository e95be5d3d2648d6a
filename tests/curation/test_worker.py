"""A worker process by itself: what it is held to, and what it can make its parent believe."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curation_fakes import begin_fake, fake_job, setup_in
from ophora_curation.pool import SeatDied
from ophora_curation.run.process_seat import ProcessSeat, ask
from ophora_curation.run.task import Answer, Task, WorkerSetup, read_answer
from ophora_curation.store.records import VideoOutcome


def started(setup: WorkerSetup, stage: str = "look") -> ProcessSeat:
    seat = ProcessSeat(stage, setup, begin_fake)  # type: ignore[arg-type]
    while not seat.has_begun:
        seat.answer()
        time.sleep(0.02)
    return seat


def test_it_has_no_terminal_no_network_and_no_core_file(tmp_path: Path) -> None:
    seat = started(setup_in(tmp_path, analysis_memory_mb=700))
    try:
        assert seat.confinement is not None
        assert seat.confinement.memory_mb == 700
        assert seat.confinement.network in {"namespace", "filter"}
        for descriptor in (0, 1, 2):
            assert os.readlink(f"/proc/{seat.pid}/fd/{descriptor}") == os.devnull
        limits = Path(f"/proc/{seat.pid}/limits").read_text()
        rows = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
        assert rows["Max core file size"] == ["0", "0"]
        assert rows["Max file size"] == ["0", "0"]
        assert rows["Max address space"] == [str(700 << 20)] * 2
    finally:
        seat.end(now=True)


def test_it_ignores_ctrl_c_and_dies_with_its_parent(tmp_path: Path) -> None:
    script = f"""
import sys, time
sys.path[:] = {[path for path in sys.path if path]!r}
from pathlib import Path
from curation_fakes import begin_fake, fake_job, setup_in
from ophora_curation.run.process_seat import ProcessSeat
from ophora_curation.run.task import Task
seat = ProcessSeat("look", setup_in(Path({str(tmp_path)!r})), begin_fake)
seat.give(Task(job=fake_job(1, "look:hang")))
while not seat.has_begun:
    seat.answer()
    time.sleep(0.02)
print(seat.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(pid, signal.SIGINT)
    time.sleep(0.2)
    assert Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":  # nobody waits for it here
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{pid}").exists()


def test_it_is_reached_only_with_a_task_of_its_own_stage(tmp_path: Path) -> None:
    seat = started(setup_in(tmp_path, memory_mb=1024), "curate")
    answer = ask(seat, Task(job=fake_job(1)), 10.0)
    seat.end(now=False)
    assert isinstance(answer.outcome, VideoOutcome)
    assert answer.outcome.video.codec == "curate"


def test_a_task_that_takes_too_long_ends_the_process(tmp_path: Path) -> None:
    seat = started(setup_in(tmp_path))
    assert ask(seat, Task(job=fake_job(1, "look:hang")), 0.5).reason == "timed-out"
    assert not seat.is_alive


class Trap:
    """What a worker under an attacker's control would send."""

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return (os.system, ("touch /tmp/ophora-was-here",))


@pytest.mark.parametrize("content", [pickle.dumps(Trap()), b"", b"\x80\x05nonsense", b"x" * 99])
def test_the_parent_runs_nothing_that_a_worker_sends(content: bytes) -> None:
    with pytest.raises((pickle.UnpicklingError, EOFError, KeyError, ValueError)):
        read_answer(content)


def test_a_message_that_is_no_answer_counts_as_death(tmp_path: Path) -> None:
    seat = started(setup_in(tmp_path))
    seat._process.kill()
    seat._process.wait()
    with pytest.raises(SeatDied):
        seat.answer()
    seat.end(now=True)


def test_answers_come_back_as_they_were_sent() -> None:
    answer = Answer(outcome=fake_job(1).refused("too-short"), kind="KeyError@a.py:1")
    assert read_answer(pickle.dumps(answer, protocol=5)) == answer


def test_limits_are_logged_once_for_each_stage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from ophora_curation.pool import WorkerPool
    from ophora_curation.run.process_seat import ProcessSeats

    setup = setup_in(tmp_path)
    with (
        caplog.at_level(logging.INFO, logger="ophora.curation"),
        WorkerPool(ProcessSeats(setup, begin_fake), setup.execution) as pool,
    ):
        list(pool.run(fake_job(number, "curate:slow") for number in range(4)))
    told = [record.getMessage() for record in caplog.records]
    assert sorted(line.split()[1] for line in told) == ["stage=curate", "stage=look"]
