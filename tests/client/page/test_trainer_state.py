"""What the page says of the trainer, over its real socket."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

from ophora_client.local_round import LocalRounds
from ophora_client.page.trainer_state import TrainerView, look_at_trainer
from ophora_client.page.trouble import Trouble
from ophora_client.round_log import RoundLog
from ophora_client.trainer import TrainerService, listen
from ophora_client.trainer_wire import Frame, socket_path
from ophora_privacy.ledger import Ledger
from tuning_fakes import POLICY, START, FakeTuner, make_plan


def look(folder: Path) -> TrainerView | Trouble:
    return look_at_trainer(folder, folder / "logs", timeout_s=20.0)


def test_a_running_trainer_tells_its_round_and_step(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", site="a", cap=8.0, delta=1e-5)
    tuner = FakeTuner()
    service = TrainerService(
        LocalRounds(lambda: POLICY, ledger, tuner, RoundLog(tmp_path / "logs"))
    )
    server = listen(service, socket_path(tmp_path))
    try:
        assert look(tmp_path) == TrainerView(is_tuning=False)
        service.start(Frame(header={"plan": make_plan(round=3).to_json()}, tensors=START))
        place = {"run_id": "run-1", "stage": "tpt", "round": 3}
        assert look(tmp_path) == TrainerView(is_tuning=True, **place)
        noted = {**place, "step": 37, "steps": 120, "loss": 0.5}
        progress = tmp_path / "logs" / "progress.json"
        progress.write_text(json.dumps({**noted, "round": 2}))  # of the round before
        assert look(tmp_path) == TrainerView(is_tuning=True, **place)
        progress.write_text(json.dumps(noted))
        assert look(tmp_path) == TrainerView(is_tuning=True, step=37, steps=120, **place)
        progress.write_text('{"step": ')
        assert look(tmp_path) == TrainerView(is_tuning=True, **place)
        tuner.gate.set()
        while service.state() == "tuning":
            time.sleep(0.02)
        assert look(tmp_path) == TrainerView(is_tuning=False)
    finally:
        service.close()
        server.stop(0).wait()


def test_a_plan_that_is_none_is_told_without_a_place(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", site="a", cap=8.0, delta=1e-5)
    service = TrainerService(
        LocalRounds(lambda: POLICY, ledger, FakeTuner(), RoundLog(tmp_path / "logs"))
    )
    service.start(Frame(header={"plan": "{}"}, tensors=START))
    assert set(service.now(Frame(header={})).header) == {"state"}
    service.close()


def test_a_trainer_that_is_gone_is_told_with_a_remedy(tmp_path: Path) -> None:
    gone = look(tmp_path)
    assert isinstance(gone, Trouble)
    assert gone.said == "The trainer is not running."
    with socket.socket(socket.AF_UNIX) as left:  # as a killed one leaves it
        left.bind(str(socket_path(tmp_path)))
    dead = look(tmp_path)
    assert isinstance(dead, Trouble)
    assert "doesn't answer" in dead.said
    assert "ophora site serve" in dead.remedy


def test_a_trainer_that_hangs_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(socket_path(tmp_path)))
        hung.listen()
        assert isinstance(look_at_trainer(tmp_path, tmp_path, timeout_s=0.5), Trouble)
