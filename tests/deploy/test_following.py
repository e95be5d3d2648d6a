"""Rounds that break off are submitted again; rounds that were refused are not."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ophora_deploy import following
from ophora_deploy.errors import FederationFailed
from ophora_deploy.following import Following
from ophora_server.run_folder import RunFolder


@dataclass
class FakeProcesses:
    """Always there; `answers` says whether the SuperLink does."""

    answers: Callable[[], bool] = lambda: True
    cleared: int = 0

    def restart_ended(self) -> list[str]:
        return []

    def link_answers(self) -> bool:
        return self.answers()

    def round_finished(self) -> None:
        self.cleared += 1


@dataclass
class FakeCoordinator:
    """Each submission does the next of `plays`; one that raises is a submission that failed."""

    run: RunFolder
    plays: list[Callable[[RunFolder], None]]
    processes: FakeProcesses = field(default_factory=FakeProcesses)
    ended: list[str] = field(default_factory=list)
    submitted: int = 0

    def submit(self) -> str:
        self.submitted += 1
        if self.plays:
            self.plays.pop(0)(self.run)
        return f"run {self.submitted}"

    def end_rounds(self, run_id: str) -> None:
        self.ended.append(run_id)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_POLL_S", 0.001)
    monkeypatch.setattr(following, "_GONE_S", 0.02)
    monkeypatch.setattr("ophora_deploy.restarts._FIRST_WAIT_S", 0.001)


def broken(run: RunFolder) -> None:
    run.record("started")
    run.record("failed", reason="ConnectError", final=False)


def gone(run: RunFolder) -> None:
    run.record("started")


def refused(run: RunFolder) -> None:
    run.record("failed", reason="round 1: 1 updates of 2 needed", final=True)


def not_submitted(run: RunFolder) -> None:
    raise FederationFailed("flwr run: no answer")


def fine(run: RunFolder) -> None:
    run.record("started")
    run.record("round-finished", round=1)
    run.record("finished", round=1)


def _follow(
    path: Path, *plays: Callable[[RunFolder], None], answers: Callable[[], bool] = lambda: True
) -> tuple[FakeCoordinator, list[Mapping[str, Any]]]:
    coordinator = FakeCoordinator(RunFolder(path=path), list(plays), FakeProcesses(answers))
    events: list[Mapping[str, Any]] = []
    Following(coordinator, [], events.append).until_finished()  # type: ignore[arg-type]
    return coordinator, events


@pytest.mark.parametrize("cut_off", [broken, gone, not_submitted])
def test_rounds_that_break_off_are_submitted_again(
    tmp_path: Path, cut_off: Callable[[RunFolder], None]
) -> None:
    coordinator, events = _follow(tmp_path, cut_off, fine)
    assert coordinator.submitted == 2
    assert len(coordinator.ended) == 1
    assert coordinator.processes.cleared == 1
    told = [event["event"] for event in events]
    assert told.index("restarted") < told.index("finished")
    (again,) = [event for event in events if event["event"] == "restarted"]
    assert again["process"] == "rounds"


def test_rounds_that_end_by_the_coordinators_own_rules_are_not(tmp_path: Path) -> None:
    with pytest.raises(FederationFailed, match="1 updates of 2 needed"):
        _follow(tmp_path, refused, fine)


def test_rounds_whose_process_runs_are_left_alone(tmp_path: Path) -> None:
    with ExitStack() as held:

        def slow(run: RunFolder) -> None:
            held.enter_context(run.only_one())
            run.record("started")

        asked = iter(range(100))

        def answers() -> bool:
            if next(asked) == 50:
                fine(RunFolder(path=tmp_path))
            return True

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(following, "_STATUS_EVERY_S", -1e9)
            patch.setattr(Following, "_new_status", lambda *_: "running" if answers() else "")
            coordinator, _ = _follow(tmp_path, slow)
    assert coordinator.submitted == 1


def test_it_gives_up_with_the_reason_after_five_times(tmp_path: Path) -> None:
    with pytest.raises(FederationFailed, match=r"5 times without a finished round .*ConnectError"):
        _follow(tmp_path, *[broken] * 6)


def test_nothing_is_submitted_to_a_superlink_that_does_not_answer(tmp_path: Path) -> None:
    asked: list[int] = []

    def answers() -> bool:
        asked.append(1)
        return len(asked) > 20

    coordinator, _ = _follow(tmp_path, broken, fine, answers=answers)
    assert coordinator.submitted == 2
    assert len(asked) > 20
