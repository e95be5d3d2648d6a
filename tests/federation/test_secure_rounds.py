"""Rounds with secure aggregation: the coordinator's loop against real trainer services of sites."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import plans
from ophora_client.egress import outgoing_answer
from ophora_client.local_round import LocalRounds
from ophora_client.policy import FederationLimits, SitePolicy
from ophora_client.roster import Membership
from ophora_client.round_log import RoundLog
from ophora_client.trainer import TrainerService
from ophora_client.trainer_wire import Frame
from ophora_client.tuner import Tuned
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.round_plan import RoundPlan
from ophora_model.update import Shapes, Tensors
from ophora_privacy.ledger import Ledger
from ophora_privacy.mechanism import ClippedGradient, clip_gradient
from ophora_privacy.plan import PrivacyPlan
from ophora_privacy.secure_sum import Roster, SiteIdentity
from ophora_privacy.secure_sum.messages import MaskedInput
from ophora_server.errors import QuorumMissed
from ophora_server.federation_settings import FederationSettings, SecureSumSettings
from ophora_server.one_round import read_base_facts
from ophora_server.roster import write_roster
from ophora_server.rounds import run_rounds
from ophora_server.run_record import rounds_done
from ophora_server.site_link import SiteReply

BASE = read_base_facts(plans.make_federation(plans.make_stage("tpt", 1)))
SHAPES = BASE.shapes
CODES = ("a", "b", "c", "d", "e")
ONE_STEP = replace(
    plans.PRIVACY, steps_per_round=1, sampling_rate=1.0, noise_multiplier=0.5, normaliser=10.0
)
EXCHANGES = ("tune", "share-keys", "masked-input", "confirm", "unmask")


@dataclass
class FakeTuner:
    """Moves every number by `value`; three patients that each move the first number by 0.5."""

    value: float
    base_fingerprint: str = BASE.fingerprint
    tuned: int = 0

    def shapes(self, spec: AdapterSpec) -> Shapes:
        return SHAPES

    def num_clips(self, stage: str) -> int:
        return 3

    def tune(self, plan: RoundPlan, privacy: PrivacyPlan, start: Tensors, **_: Any) -> Tuned:
        self.tuned += 1
        update = {name: np.full_like(value, self.value) for name, value in start.items()}
        return Tuned(update=update, losses=(0.5,), steps=2, seconds=1.0)

    def tune_patients(
        self,
        plan: RoundPlan,
        privacy: PrivacyPlan,
        start: Tensors,
        give: Callable[[ClippedGradient], None],
        **_: Any,
    ) -> Tuned:
        self.tuned += 1
        for _patient in range(3):
            moved = [torch.zeros(shape) for _, shape in sorted(SHAPES.items())]
            moved[0][0, 0] = 0.5
            give(clip_gradient(moved, privacy.clip_norm))
        return Tuned(update={}, losses=(), steps=1, seconds=1.0)


@dataclass
class Link:
    """Sites in this process; `lost` names the exchange at which a site is not heard of again."""

    sites_of: Mapping[str, "Site"]
    lost: Mapping[str, str] = field(default_factory=dict)
    spoil: Callable[[str, str, bytes], bytes] = lambda site, exchange, message: message
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)
    replies: dict[str, SiteReply] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def sites(self) -> dict[int, str]:
        return dict(enumerate(self.sites_of))

    def send(
        self,
        node: int,
        plan: str,
        tensors: Tensors,
        *,
        ttl_s: float,
        attempt: str = "",
        receipt: str = "",
    ) -> tuple[str, int]:
        site = self.sites()[node]
        service = self.sites_of[site].service
        job = service.start(Frame(header={"plan": plan, "receipt": receipt}, tensors=tensors))
        answer = service.result(Frame(header={**job.header, "attempt": attempt}))
        return self._reply(site, "tune", answer), 100

    def exchange(
        self, node: int, attempt: str, exchange: str, message: bytes, *, ttl_s: float
    ) -> tuple[str, int]:
        site = self.sites()[node]
        frame = Frame.of_message(message, attempt=attempt, exchange=exchange)
        answer = self.sites_of[site].service.exchange(frame)
        if answer.header["code"] == "ok":
            assert outgoing_answer(exchange, answer.message).message == answer.message
        return self._reply(site, exchange, answer), len(message)

    def poll(self, request: str) -> SiteReply | None:
        return self.replies.pop(request, None)

    def _reply(self, site: str, exchange: str, answer: Frame) -> str:
        request = f"{site}/{exchange}/{len(self.seen)}"
        message = self.spoil(site, exchange, answer.message)
        self.seen.append((site, exchange, message))
        if self.lost.get(site) == exchange:
            self.gone.add(site)
        if site not in self.gone:
            self.replies[request] = SiteReply(
                request=request,
                code=answer.header["code"],
                tensors={},
                metrics=answer.header.get("metrics", {}),
                num_bytes=10,
                message=message,
                receipt=answer.header.get("receipt", ""),
            )
        return request


@dataclass
class Site:
    service: TrainerService
    tuner: FakeTuner
    ledger: Ledger


def _sites(folder: Path, **limits: Any) -> dict[str, Site]:
    """Five sites with keys of their own, and the run's roster of them."""
    identities = {
        code: SiteIdentity.from_private_bytes(code, bytes([number]) * 32)
        for number, code in enumerate(CODES, start=1)
    }
    keys = {code: identity.public_key() for code, identity in identities.items()}
    write_roster(folder / "roster.toml", {code: key.hex() for code, key in keys.items()})
    roster = Roster(keys)
    made = {}
    for number, code in enumerate(CODES, start=1):
        policy = SitePolicy(
            site=code,
            preset="tiny",
            base_folder=None,
            epsilon_cap=1e6,
            delta=1e-5,
            share_loss=False,
            limits=FederationLimits(**limits),
        )
        (folder / code).mkdir(exist_ok=True)
        ledger = Ledger(folder / code / "ledger.sqlite", site=code, cap=1e6, delta=1e-5)
        tuner = FakeTuner(value=number / 10)
        member = Membership(identity=identities[code], roster=roster)
        rounds = LocalRounds(
            lambda p=policy: p,
            ledger,
            tuner,
            RoundLog(folder / code),
            membership=lambda m=member: m,
        )
        made[code] = Site(service=TrainerService(rounds), tuner=tuner, ledger=ledger)
    return made


def _settings(
    rounds: int = 1, privacy: PrivacyPlan = plans.PRIVACY, **secure: Any
) -> FederationSettings:
    settings = plans.make_federation(
        plans.make_stage("tpt", rounds, privacy),
        expected_sites=5,
        min_sites=3,
        wait_s=0.5,
        round_s=0.6,
    )
    return dataclasses.replace(
        settings, secure_sum=SecureSumSettings(**{"exchange_s": 0.6, **secure})
    )


def test_the_coordinator_gets_the_mean_and_never_an_update(tmp_path: Path) -> None:
    link = Link(_sites(tmp_path))
    end = run_rounds(link, plans.enrolled(tmp_path, CODES), _settings(rounds=2), BASE)
    for tensor in end.tensors.values():
        assert np.allclose(tensor, 0.6, rtol=1e-4)  # the mean of 0.1 to 0.5, twice
    assert [entry["sites"] for entry in end.history] == [list(CODES)] * 2
    assert all(stated["epsilon"] > 0 for stated in end.history[0]["stated"].values())
    masked = [message for _, exchange, message in link.seen if exchange == "masked-input"]
    assert len(masked) == 10
    for message in masked:  # words that say nothing: spread over the whole ring
        words = np.frombuffer(MaskedInput.from_bytes(message).words, "<u4")
        assert len(set(words.tolist())) > len(words) // 2
        assert np.ptp(words.astype(np.float64)) > 2**30


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_site_lost_at_any_point_costs_its_own_part_at_most(tmp_path: Path, exchange: str) -> None:
    link = Link(_sites(tmp_path), lost={"e": exchange})
    end = run_rounds(link, plans.enrolled(tmp_path, CODES), _settings(), BASE)
    is_in = exchange in ("confirm", "unmask")  # its input had come by then
    expected = 0.3 if is_in else 0.25
    assert end.history[0]["sites"] == list(CODES if is_in else CODES[:4])
    for tensor in end.tensors.values():
        assert np.allclose(tensor, expected, rtol=1e-4)


@pytest.mark.parametrize("exchange", ["tune", "masked-input", "unmask"])
def test_too_few_sites_give_the_round_up_and_no_contribution_is_sent_twice(
    tmp_path: Path, exchange: str
) -> None:
    sites = _sites(tmp_path)
    run = plans.enrolled(tmp_path, CODES)
    with pytest.raises(QuorumMissed, match="given up"):
        run_rounds(
            Link(sites, lost={"c": exchange, "d": exchange, "e": exchange}), run, _settings(), BASE
        )
    assert rounds_done(run, _settings()) == 0
    end = run_rounds(Link(sites), run, _settings(), BASE)
    for tensor in end.tensors.values():
        assert np.allclose(tensor, 0.3, rtol=1e-4)
    # a sum that a masked input went into could be unmasked without its site, and a second sum
    # with the same input then tell the difference
    again = 1 if exchange == "tune" else 2
    assert [site.tuner.tuned for site in sites.values()] == [again] * 5
    assert [len(site.ledger.spends()) for site in sites.values()] == [again] * 5


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b"nonsense",
        MaskedInput(tag=bytes(32), sender="e", words=bytes(4 * 4608)).to_bytes(),
        MaskedInput(tag=bytes(32), sender="a", words=bytes(4)).to_bytes(),
    ],
)
def test_a_masked_input_that_does_not_hold_costs_that_site_only(
    tmp_path: Path, spoilt: bytes
) -> None:
    def spoil(site: str, exchange: str, message: bytes) -> bytes:
        return spoilt if (site, exchange) == ("e", "masked-input") else message

    run = plans.enrolled(tmp_path, CODES)
    end = run_rounds(Link(_sites(tmp_path), spoil=spoil), run, _settings(), BASE)
    assert end.history[0]["sites"] == list(CODES[:4])
    dropped = [event for event in run.events() if event["event"] == "dropped"]
    assert [(event["site"], event["code"]) for event in dropped] == [("e", "rejected")]


def test_a_coordinator_that_asks_for_the_plain_update_gets_a_code(tmp_path: Path) -> None:
    sites = _sites(tmp_path)

    class Nosy(Link):
        def send(self, *args: Any, **kwargs: Any) -> tuple[str, int]:
            return super().send(*args, **{**kwargs, "attempt": ""})

    run = plans.enrolled(tmp_path, CODES)
    with pytest.raises(QuorumMissed):
        run_rounds(Nosy(sites), run, _settings(), BASE)
    codes = {event["code"] for event in run.events() if event["event"] == "reply"}
    assert codes == {"secure-sum"}


def test_distributed_noise_is_in_the_sum_and_in_the_ledgers(tmp_path: Path) -> None:
    sites = _sites(tmp_path, noise="both", require_secure_sum=True)
    settings = _settings(privacy=ONE_STEP, noise="distributed", steps_per_patient=2)
    run = plans.enrolled(tmp_path, CODES)
    end = run_rounds(Link(sites), run, settings, BASE)
    # 15 patients move one number by 0.5 each, divided by the normaliser of 10
    flat = np.concatenate([end.tensors[name].ravel() for name in sorted(SHAPES)])
    # five shares where two honest ones had to carry the whole noise: sqrt(5 / 2) of it
    std = 0.5 * np.sqrt(5 / 2) / 10
    assert abs(flat[0] - 0.75) < 5 * std
    assert 0.5 * std < np.std(flat[1:]) < 1.6 * std
    for site in sites.values():
        (spend,) = site.ledger.spends()
        assert spend.assumes == "2 honest sites"
        assert spend.event.noise_multiplier == 0.5
    replies = [event for event in run.events() if event["event"] == "reply"]
    assert not any("seconds" in event for event in replies)  # they would count the patients


@pytest.mark.parametrize(
    ("limits", "secure", "code"),
    [
        ({"noise": "distributed"}, {}, "privacy"),
        ({"noise": "local"}, {"noise": "distributed"}, "privacy"),
        ({"noise": "both", "min_colluding_sites": 2}, {"noise": "distributed"}, "privacy"),
        ({"min_sites": 4}, {}, "secure-sum"),
        ({"max_epsilon_per_round": 0.5}, {}, "privacy"),
        ({"noise": "both"}, {"noise": "distributed", "colluding_sites": 2}, "bad-plan"),
        ({"noise": "both", "max_epsilon_per_round": 0.5}, {"noise": "distributed"}, "privacy"),
        ({"bases": ("0" * 8,)}, {}, "base"),
        ({"approve_runs": True}, {}, "approval"),
    ],
)
def test_a_site_declines_what_its_policy_does_not_take(
    tmp_path: Path, limits: dict[str, Any], secure: dict[str, Any], code: str
) -> None:
    sites = _sites(tmp_path, **limits)
    run = plans.enrolled(tmp_path, CODES)
    with pytest.raises(QuorumMissed):
        run_rounds(Link(sites), run, _settings(privacy=ONE_STEP, **secure), BASE)
    assert {event["code"] for event in run.events() if event["event"] == "reply"} == {code}
    assert all(site.ledger.spends() == [] for site in sites.values())


def test_a_site_that_takes_secure_sums_only_sends_no_update(tmp_path: Path) -> None:
    sites = _sites(tmp_path, require_secure_sum=True)
    run = plans.enrolled(tmp_path, CODES)
    with pytest.raises(QuorumMissed):
        run_rounds(Link(sites), run, replace(_settings(), secure_sum=None), BASE)
    assert {event["code"] for event in run.events() if event["event"] == "reply"} == {"secure-sum"}


def test_another_roster_than_the_pinned_one_is_declined(tmp_path: Path) -> None:
    sites = _sites(tmp_path)
    stranger = {code: bytes([n + 9]) * 32 for n, code in enumerate(CODES)}
    write_roster(tmp_path / "roster.toml", {code: key.hex() for code, key in stranger.items()})
    run = plans.enrolled(tmp_path, CODES)
    with pytest.raises(QuorumMissed):
        run_rounds(Link(sites), run, _settings(), BASE)
    assert {event["code"] for event in run.events() if event["event"] == "reply"} == {"secure-sum"}


def test_a_site_that_put_an_old_ledger_back_declines_and_spends_nothing(tmp_path: Path) -> None:
    sites = _sites(tmp_path)
    run = plans.enrolled(tmp_path, CODES)
    fresh = {path: path.read_bytes() for path in (tmp_path / "e").glob("ledger.*")}
    run_rounds(Link(sites), run, _settings(rounds=1), BASE)
    for path, content in fresh.items():
        path.write_bytes(content)
    end = run_rounds(Link(_sites(tmp_path)), run, _settings(rounds=2), BASE)
    assert end.history[1]["sites"] == list(CODES[:4])
    codes = {event["site"]: event["code"] for event in run.events() if event["event"] == "reply"}
    assert codes["e"] == "ledger"
    assert sites["e"].ledger.spends() == []
