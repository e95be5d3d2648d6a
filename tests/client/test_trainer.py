"""The resident trainer over its real socket: policy, budget, replacement, repetition, timeouts."""

import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ophora_client.errors import Declined
from ophora_client.local_round import LocalRounds
from ophora_client.policy import FederationLimits, SitePolicy
from ophora_client.round_log import RoundLog
from ophora_client.trainer import TrainerService, listen
from ophora_client.trainer_channel import TrainerChannel
from ophora_client.trainer_wire import Frame, socket_path
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.errors import NonFiniteLoss, VideoUnreadable
from ophora_model.round_plan import RoundPlan
from ophora_privacy.ledger import Ledger
from tuning_fakes import POLICY, PRIVACY, START, FakeTuner
from tuning_fakes import make_plan as _plan


@dataclass(frozen=True)
class Site:
    folder: Path
    tuner: FakeTuner
    ledger: Ledger

    def ask(self, plan: RoundPlan, *, timeout_s: float = 20.0) -> Any:
        with TrainerChannel(self.folder) as channel:
            return channel.tune(plan.to_json(), START, timeout_s=timeout_s)


def _code(site: Site, plan: RoundPlan) -> str:
    try:
        site.ask(plan)
    except Declined as declined:
        return declined.code
    return "ok"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from _serve(tmp_path, POLICY)


def _serve(folder: Path, policy: SitePolicy) -> Iterator[Site]:
    ledger = Ledger(folder / "ledger.sqlite", site="a", cap=policy.epsilon_cap, delta=policy.delta)
    tuner = FakeTuner()
    tuner.gate.set()
    service = TrainerService(LocalRounds(lambda: policy, ledger, tuner, RoundLog(folder / "logs")))
    server = listen(service, socket_path(folder))
    yield Site(folder=folder, tuner=tuner, ledger=ledger)
    service.close()
    server.stop(0).wait()


def test_a_round_comes_back_with_its_update_and_what_it_cost(site: Site) -> None:
    reply = site.ask(_plan(round=7))
    assert np.array_equal(reply.tensors["block.to_q"], np.full((8, 4), 7, np.float32))
    assert reply.metrics["epsilon"] == site.ledger.epsilon().value > 0
    assert reply.metrics["seconds"] == 2.0
    assert "loss" not in reply.metrics
    assert '"losses": [0.5, 0.25]' in (site.folder / "logs" / "rounds.jsonl").read_text()
    assert '"step": 5' in (site.folder / "logs" / "progress.json").read_text()


def test_the_socket_is_the_users_alone(site: Site) -> None:
    assert stat.S_IMODE(socket_path(site.folder).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code_version": "0.0.1"}, "version"),
        ({"preset": "cogvideox-2b"}, "preset"),
        ({"base_fingerprint": "0" * 64}, "base"),
        ({"adapter": AdapterSpec(rank=512, alpha=1.0, targets=("to_q",), seed=1)}, "adapter"),
        ({"privacy": {**PRIVACY.to_dict(), "clip_norm": 50.0}}, "privacy"),
        ({"privacy": {**PRIVACY.to_dict(), "steps_per_round": 10**6}}, "privacy"),
        ({"privacy": {**PRIVACY.to_dict(), "delta": 0.5}}, "privacy"),
        ({"privacy": {**PRIVACY.to_dict(), "clip_norm": -1.0}}, "bad-plan"),
        ({"privacy": {}}, "bad-plan"),
        ({"privacy": {**PRIVACY.to_dict(), "noise_multiplier": 0.0}}, "budget"),
    ],
)
def test_a_plan_outside_the_policy_is_declined_and_costs_nothing(
    site: Site, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(Declined) as declined:
        site.ask(_plan(**changes))
    assert declined.value.code == code
    assert site.ledger.spends() == []
    assert site.tuner.rounds == []


def test_a_plan_that_is_no_plan_or_a_site_without_clips_declines(site: Site) -> None:
    with TrainerChannel(site.folder) as channel, pytest.raises(Declined) as declined:
        channel.tune("{}", START, timeout_s=20)
    assert declined.value.code == "bad-plan"
    wrong = {"block.to_q": np.zeros((8, 5), np.float32)}
    with TrainerChannel(site.folder) as channel, pytest.raises(Declined) as declined:
        channel.tune(_plan().to_json(), wrong, timeout_s=20)
    assert declined.value.code == "adapter"
    site.tuner.clips = 0
    with pytest.raises(Declined) as declined:
        site.ask(_plan())
    assert declined.value.code == "no-clips"
    assert site.ledger.spends() == []


def test_the_budget_ends_the_rounds_and_survives_a_restart(tmp_path: Path) -> None:
    policy = replace(POLICY, epsilon_cap=4.0)
    reached = 0
    for _ in range(2):
        for site in _serve(tmp_path, policy):
            while (code := _code(site, _plan(round=reached + 1))) == "ok":
                reached += 1
            assert code == "budget"
    assert reached >= 1
    assert (
        len(Ledger(tmp_path / "ledger.sqlite", site="a", cap=4.0, delta=1e-5).spends()) == reached
    )


def test_the_same_round_asked_again_is_answered_without_spending(site: Site) -> None:
    first, second = site.ask(_plan()), site.ask(_plan())
    assert np.array_equal(first.tensors["block.to_q"], second.tensors["block.to_q"])
    assert site.tuner.rounds == [1]
    assert len(site.ledger.spends()) == 1


def test_another_round_replaces_the_one_that_runs_and_both_are_spent(site: Site) -> None:
    site.tuner.gate.clear()
    outcome: list[str] = []

    def ask_first() -> None:
        with pytest.raises(Declined) as declined:
            site.ask(_plan(round=1))
        outcome.append(declined.value.code)

    first = threading.Thread(target=ask_first)
    first.start()
    while not site.tuner.rounds:
        time.sleep(0.01)
    opener = threading.Timer(0.5, site.tuner.gate.set)
    opener.start()
    reply = site.ask(_plan(round=2))
    first.join()
    assert float(reply.tensors["block.to_q"][0, 0]) == 2.0
    assert outcome == ["cancelled"]
    assert len(site.ledger.spends()) == 2


def test_a_round_past_the_sites_bound_is_stopped(site: Site) -> None:
    site.tuner.gate.clear()
    with pytest.raises(Declined) as declined:
        site.ask(_plan(), timeout_s=1.0)
    assert declined.value.code == "timeout"
    assert len(site.ledger.spends()) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [(NonFiniteLoss("loss at step 1 is nan"), "non-finite"), (KeyError("x"), "internal-error")],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_failure_in_tuning_is_a_code_and_stays_spent(
    site: Site, error: Exception, code: str
) -> None:
    site.tuner.fails = error
    with pytest.raises(Declined) as declined:
        site.ask(_plan())
    assert declined.value.code == code
    assert len(site.ledger.spends()) == 1


def test_a_clip_that_cannot_be_read_spends_no_budget(site: Site) -> None:
    site.tuner.spoilt = VideoUnreadable("clip can't be decoded (FileNotFoundError)")
    assert _code(site, _plan()) == "internal-error"
    assert site.ledger.spends() == []


def test_no_trainer_is_a_code_too(tmp_path: Path) -> None:
    with TrainerChannel(tmp_path) as channel, pytest.raises(Declined) as declined:
        channel.tune(_plan().to_json(), START, timeout_s=0.5)
    assert declined.value.code == "trainer-unavailable"


def test_a_loss_leaves_the_trainer_only_by_policy(tmp_path: Path) -> None:
    for site in _serve(tmp_path, replace(POLICY, share_loss=True)):
        assert site.ask(_plan()).metrics["loss"] == 0.375


def test_frames_and_deep_folders(tmp_path: Path) -> None:
    frame = Frame(header={"plan": "x"}, tensors=START)
    again = Frame.from_bytes(frame.to_bytes())
    assert again.header == {"plan": "x"}
    assert np.array_equal(again.tensors["block.to_q"], START["block.to_q"])
    assert dict(Frame.from_bytes(Frame(header={}).to_bytes()).tensors) == {}
    deep = tmp_path / ("x" * 120)
    assert len(str(socket_path(deep))) < 108
    assert socket_path(deep) != socket_path(tmp_path / ("y" * 120))


def test_a_cap_that_was_lowered_holds_from_the_next_round_on(tmp_path: Path) -> None:
    caps = [8.0]
    ledger = Ledger(tmp_path / "ledger.sqlite", site="a", cap=8.0, delta=1e-5)
    tuner = FakeTuner()
    tuner.gate.set()
    rounds = LocalRounds(
        lambda: replace(POLICY, epsilon_cap=caps[0]), ledger, tuner, RoundLog(tmp_path / "logs")
    )
    rounds.run(_plan(round=1).to_json(), START, cancelled=lambda: False)
    caps[0] = ledger.epsilon().value
    with pytest.raises(Declined) as declined:
        rounds.run(_plan(round=2).to_json(), START, cancelled=lambda: False)
    assert declined.value.code == "budget"
    assert len(ledger.spends()) == 1


def test_a_ledger_that_cannot_be_used_is_told_by_its_own_code(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", site="a", cap=8.0, delta=1e-5)
    tuner = FakeTuner()
    rounds = LocalRounds(lambda: POLICY, ledger, tuner, RoundLog(tmp_path / "logs"))
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(Declined) as declined:
        rounds.run(_plan().to_json(), START, cancelled=lambda: False)
    assert declined.value.code == "ledger"
    assert tuner.rounds == []


def test_a_kept_result_is_not_given_out_once_the_site_has_changed_its_mind(
    tmp_path: Path,
) -> None:
    policies = [POLICY]
    ledger = Ledger(tmp_path / "ledger.sqlite", site="a", cap=8.0, delta=1e-5)
    tuner = FakeTuner()
    tuner.gate.set()
    rounds = LocalRounds(lambda: policies[0], ledger, tuner, RoundLog(tmp_path / "logs"))
    service = TrainerService(rounds)
    asked = Frame(header={"plan": _plan().to_json()}, tensors=START)
    assert service.result(service.start(asked)).header["code"] == "ok"
    policies[0] = replace(POLICY, limits=FederationLimits(require_secure_sum=True))
    assert service.result(service.start(asked)).header == {"code": "secure-sum"}
    assert len(ledger.spends()) == 1
