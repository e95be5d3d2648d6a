"""What a round tells at a site: its spans, its lines, and nothing of what went wrong in it."""

from pathlib import Path

import numpy as np
import pytest

from ophora_client.egress import DECLINE_CODES
from ophora_client.errors import Declined
from ophora_client.local_round import LocalRounds
from ophora_client.round_log import RoundLog
from ophora_client.step_meter import StepMeter
from ophora_client.trainer import TrainerService
from ophora_client.trainer_wire import Frame
from ophora_model.errors import VideoUnreadable
from ophora_privacy.ledger import Ledger
from ophora_privacy.watch.fields import DECLINED
from ophora_privacy.watch.spans import carried, span
from tuning_fakes import POLICY, START, FakeTuner, make_plan
from watched import lines, parsed, spans, tree

PLANTED = "Eleanor Whitcombe"


def _rounds(folder: Path, tuner: FakeTuner, meter: StepMeter | None = None) -> LocalRounds:
    ledger = Ledger(folder / "ledger.sqlite", site="a", cap=8.0, delta=1e-5)
    return LocalRounds(lambda: POLICY, ledger, tuner, RoundLog(folder / "logs", meter))


@pytest.fixture
def tuner() -> FakeTuner:
    made = FakeTuner()
    made.gate.set()
    return made


def test_the_codes_of_refusals_are_those_that_may_be_told() -> None:
    assert DECLINED == DECLINE_CODES


def test_the_trainers_spans_hang_on_the_apps(tmp_path: Path, tuner: FakeTuner) -> None:
    service = TrainerService(_rounds(tmp_path, tuner))
    with spans() as exporter:
        with span("round", round=1):
            header = {"plan": make_plan().to_json(), "trace": carried()}
            job = service.start(Frame(header=header, tensors=START))
            assert service.result(job).header["code"] == "ok"
        service.close()
    found = exporter.get_finished_spans()
    assert tree(found) == {"reserve": "train", "tune": "train", "train": "round", "round": ""}
    assert service.state() == "idle"


def test_a_round_is_told_by_its_place_and_length(tmp_path: Path, tuner: FakeTuner) -> None:
    meter = StepMeter()
    with lines() as stream:
        _rounds(tmp_path, tuner, meter).run(make_plan().to_json(), START, cancelled=lambda: False)
    begun, done = parsed(stream)
    assert (begun["event"], begun["run"], begun["round"]) == ("round-begun", "run-1", 1)
    assert (done["event"], done["steps"], done["seconds"]) == ("round-done", 5, 1.2)
    assert "loss" not in stream.getvalue()
    assert meter.num_steps == 1


def test_a_refusal_is_told_by_its_code_alone(tmp_path: Path, tuner: FakeTuner) -> None:
    tuner.spoilt = VideoUnreadable(f"clip of {PLANTED} can't be decoded")
    with lines() as stream, pytest.raises(Declined):
        _rounds(tmp_path, tuner).run(make_plan().to_json(), START, cancelled=lambda: False)
    (line,) = parsed(stream)
    assert (line["event"], line["code"]) == ("round-declined", "internal-error")
    assert "Whitcombe" not in stream.getvalue()


def test_a_name_in_an_unforeseen_error_is_in_no_line_and_in_no_stream(
    tmp_path: Path, tuner: FakeTuner, capfd: pytest.CaptureFixture[str]
) -> None:
    tuner.fails = KeyError(f"/videos/{PLANTED}/a.mp4")
    service = TrainerService(_rounds(tmp_path, tuner))
    with lines() as stream:
        asked = Frame(header={"plan": make_plan().to_json()}, tensors=START)
        assert service.result(service.start(asked)).header == {"code": "internal-error"}
    failed = parsed(stream)[-1]
    assert (failed["event"], failed["error"]) == ("round-failed", "KeyError")
    assert failed["where"].startswith("ophora_client.")
    captured = capfd.readouterr()
    assert "Whitcombe" not in stream.getvalue() + captured.out + captured.err
    assert np.array_equal(START["block.to_q"], np.zeros((8, 4)))
