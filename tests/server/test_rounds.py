"""The loop over a wire of fakes: averaging, quorum, deadlines, resume, hostile replies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

import plans
from ophora_model.release import read_release
from ophora_model.round_plan import RoundPlan
from ophora_model.stacking import trained_columns
from ophora_model.update import Tensors
from ophora_server.aggregation import AggregationSettings
from ophora_server.errors import QuorumMissed, RunBusy
from ophora_server.federation_settings import FederationSettings
from ophora_server.one_round import BaseFacts, read_base_facts
from ophora_server.receipts import ReceiptBook
from ophora_server.registry.errors import EntryRefused, RegistryCorrupt, UnknownEntry
from ophora_server.registry.finished import read_adapter, withdraw_round
from ophora_server.registry.reports import rounds, show
from ophora_server.registry.sites import revoke_site
from ophora_server.registry.verification import verify
from ophora_server.rounds import run_rounds
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import open_registry, rounds_done
from ophora_server.server_optimizer import ServerOptimizer, ServerOptimizerSettings
from ophora_server.site_link import SiteReply

PRIVACY = replace(plans.PRIVACY, noise_multiplier=0.1, steps_per_round=3)


def _settings(**rounds: int) -> FederationSettings:
    stages = [plans.make_stage(name, count, PRIVACY) for name, count in rounds.items()]
    return plans.make_federation(*stages, wait_s=0.3, round_s=5.0, max_update_norm=1000.0)


@pytest.fixture(scope="module")
def base() -> BaseFacts:
    return read_base_facts(_settings(tpt=1))


Answer = Callable[[RoundPlan, Tensors], tuple[str, Mapping[str, object]]]


def constant(value: float) -> Answer:
    """A site whose update is `value` everywhere."""

    def answer(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        return "ok", {name: np.full_like(tensor, value) for name, tensor in start.items()}

    return answer


def halfway(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
    """A site that pulls the adapter half the way towards 1: the start matters."""
    return "ok", {name: (1 - tensor) / 2 for name, tensor in start.items()}


@dataclass
class FakeLink:
    """Sites as functions; None answers never."""

    answers: dict[int, Answer | None]
    epsilons: dict[int, float] = field(default_factory=dict)  # of one round; missing: infinite
    receipts: dict[int, str] = field(default_factory=dict)  # missing: of a ledger that grows
    held: list[str] = field(default_factory=list)  # what the coordinator sent back
    plans: list[RoundPlan] = field(default_factory=list)
    replies: dict[str, SiteReply] = field(default_factory=dict)

    def sites(self) -> dict[int, str]:
        return {node: f"site-{node}" for node in self.answers}

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
        self.held.append(receipt)
        self.plans.append(RoundPlan.from_json(plan))
        request = f"request-{len(self.plans)}"
        answer = self.answers[node]
        if answer is not None:
            code, update = answer(self.plans[-1], tensors)
            self.replies[request] = SiteReply(
                request=request,
                code=code,
                tensors=update,  # type: ignore[arg-type]
                metrics={
                    "steps": 3.0,
                    "epsilon": self.epsilons.get(node, float("inf")) * self.plans[-1].round,
                    "delta": 1e-3 * node,
                },
                num_bytes=10,
                receipt=self.receipts.get(node, plans.make_receipt(self.plans[-1].round, node)),
            )
        return request, 100

    def exchange(
        self, node: int, attempt: str, exchange: str, message: bytes, *, ttl_s: float
    ) -> tuple[str, int]:
        raise AssertionError("no secure sum was asked for")

    def poll(self, request: str) -> SiteReply | None:
        return self.replies.pop(request, None)


def _run(path: Path) -> RunFolder:
    return plans.enrolled(path, [f"site-{node}" for node in range(1, 4)])


def test_rounds_average_with_equal_weights_and_end_in_releases(
    tmp_path: Path, base: BaseFacts
) -> None:
    run = _run(tmp_path)
    link = FakeLink({1: constant(1.0), 2: constant(2.0), 3: constant(6.0)})
    end = run_rounds(link, run, _settings(tpt=2, p2ft=1), base)
    assert end.round == 3
    assert all(np.allclose(tensor, 9.0) for tensor in end.tensors.values())
    assert [plan.stage for plan in link.plans[::3]] == ["tpt", "tpt", "p2ft"]
    tpt, p2ft = (read_release(run.releases / stage) for stage in ("tpt", "p2ft"))
    assert (tpt.round, p2ft.round) == (2, 3)
    assert np.allclose(next(iter(tpt.tensors.values())), 6.0)
    finished = [event for event in run.events() if event["event"] == "round-finished"]
    assert finished[0]["bytes_sent"] == {"site-1": 100, "site-2": 100, "site-3": 100}
    assert finished[0]["sites"] == ["site-1", "site-2", "site-3"]


def test_a_release_states_the_largest_epsilon_of_the_sites_last_rounds(
    tmp_path: Path, base: BaseFacts
) -> None:
    run = _run(tmp_path)
    link = FakeLink({1: constant(0.1), 2: constant(0.2)}, epsilons={1: 4.0, 2: 1.5})
    run_rounds(link, run, _settings(tpt=1, p2ft=1), base)
    tpt, p2ft = (read_release(run.releases / stage).card for stage in ("tpt", "p2ft"))
    assert (tpt.epsilon, p2ft.epsilon) == (4.0, 8.0)
    assert tpt.delta == p2ft.delta == 2e-3


def test_a_release_states_nothing_where_one_site_has_no_bound(
    tmp_path: Path, base: BaseFacts
) -> None:
    run = _run(tmp_path)
    link = FakeLink({1: constant(0.1), 2: constant(0.2)}, epsilons={1: 4.0})
    run_rounds(link, run, _settings(tpt=1), base)
    card = read_release(run.releases / "tpt").card
    assert (card.epsilon, card.delta) == (None, None)


def test_a_resumed_run_equals_one_that_was_never_interrupted(
    tmp_path: Path, base: BaseFacts
) -> None:
    sites: dict[int, Answer | None] = {1: halfway, 2: halfway, 3: constant(0.25)}
    whole = run_rounds(FakeLink(sites), _run(tmp_path / "whole"), _settings(tpt=4), base)
    halves = _run(tmp_path / "halves")
    run_rounds(FakeLink(sites), halves, _settings(tpt=2), base)
    link = FakeLink(sites)
    resumed = run_rounds(link, halves, _settings(tpt=4), base)
    assert sorted({plan.round for plan in link.plans}) == [3, 4]
    for name, tensor in whole.tensors.items():
        assert np.array_equal(tensor, resumed.tensors[name])


def test_a_torn_adapter_stops_the_run_until_its_round_is_withdrawn(
    tmp_path: Path, base: BaseFacts
) -> None:
    run, settings = _run(tmp_path), _settings(tpt=3, p2ft=1)
    sites: dict[int, Answer | None] = {1: halfway, 2: halfway, 3: halfway}

    def lost_after_two(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        return ("cancelled", {}) if plan.round == 3 else halfway(plan, start)

    with pytest.raises(QuorumMissed):
        run_rounds(FakeLink({**sites, 1: lost_after_two, 2: lost_after_two}), run, settings, base)
    with open_registry(run) as registry:
        digest = rounds(registry, settings.run_id)[1]["adapter_digest"]
    (torn,) = (run.registry / "blobs").rglob(digest)
    torn.write_bytes(torn.read_bytes()[:-7])
    link = FakeLink(sites)
    with pytest.raises(RegistryCorrupt):
        run_rounds(link, run, settings, base)
    assert link.plans == []
    with open_registry(run) as registry:
        withdraw_round(registry, settings.run_id, 2, reason="torn")
    run_rounds(link, run, settings, base)
    assert sorted({plan.round for plan in link.plans}) == [2, 3, 4]


def test_a_revoked_site_is_not_counted_even_in_the_open_round(
    tmp_path: Path, base: BaseFacts
) -> None:
    run, settings = _run(tmp_path), _settings(tpt=2)

    def revoked_meanwhile(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        if plan.round == 2:
            with open_registry(run) as registry:
                revoke_site(registry, "site-3")
        return constant(9.0)(plan, start)

    link = FakeLink({1: constant(1.0), 2: constant(3.0), 3: revoked_meanwhile})
    end = run_rounds(link, run, settings, base)
    assert [entry["sites"] for entry in end.history] == [
        ["site-1", "site-2", "site-3"], ["site-1", "site-2"],
    ]  # fmt: skip
    assert all(np.allclose(tensor, 13 / 3 + 2) for tensor in end.tensors.values())
    with open_registry(run) as registry:
        receipts = show(registry, settings.run_id, 2)["receipts"]
    assert [(each["site"], each["code"], each["counted"]) for each in receipts] == [
        ("site-1", "ok", True), ("site-2", "ok", True), ("site-3", "refused", False),
    ]  # fmt: skip


def test_a_site_that_nobody_let_in_stops_the_round_before_it_counts(
    tmp_path: Path, base: BaseFacts
) -> None:
    run = plans.enrolled(tmp_path, ["site-1", "site-2"])
    link = FakeLink(dict.fromkeys((1, 2, 3), constant(1.0)))
    with pytest.raises(UnknownEntry, match="site-3"):
        run_rounds(link, run, _settings(tpt=1), base)
    assert rounds_done(run, _settings(tpt=1)) == 0


def test_a_missed_round_is_a_new_attempt_and_the_log_holds(tmp_path: Path, base: BaseFacts) -> None:
    run, settings = _run(tmp_path), _settings(tpt=1)
    absent: dict[int, Answer | None] = {1: constant(1.0), 2: _nan, 3: _nan}
    with pytest.raises(QuorumMissed):
        run_rounds(FakeLink(absent), run, settings, base)
    with open_registry(run) as registry:
        assert show(registry, settings.run_id, 1)["state"] == "abandoned"
    run_rounds(FakeLink(dict.fromkeys((1, 2, 3), constant(1.0))), run, settings, base)
    with open_registry(run) as registry:
        found = show(registry, settings.run_id, 1)
        assert verify(registry).holds
    assert (found["state"], found["attempt"]) == ("finished", 2)
    codes = [(each["attempt"], each["code"], each["counted"]) for each in found["receipts"]]
    assert codes == [
        (1, "ok", False), (1, "rejected", False), (1, "rejected", False),
        (2, "ok", True), (2, "ok", True), (2, "ok", True),
    ]  # fmt: skip


def test_another_adapter_does_not_start_over_on_finished_rounds(
    tmp_path: Path, base: BaseFacts
) -> None:
    run, settings = _run(tmp_path), _settings(tpt=2)
    sites: dict[int, Answer | None] = dict.fromkeys((1, 2, 3), constant(1.0))
    run_rounds(FakeLink(sites), run, settings, base)
    other = replace(settings, adapter=replace(settings.adapter, rank=8))
    link = FakeLink(sites)
    with pytest.raises(EntryRefused, match="adapter"):
        run_rounds(link, run, other, read_base_facts(other))
    assert link.plans == []
    assert run_rounds(link, run, settings, base).round == 2


def test_a_stage_that_is_over_gets_no_more_rounds(tmp_path: Path, base: BaseFacts) -> None:
    run = _run(tmp_path)
    link = FakeLink(dict.fromkeys((1, 2, 3), constant(1.0)))
    run_rounds(link, run, _settings(tpt=1, p2ft=1), base)
    before = read_release(run.releases / "tpt").sha256
    with pytest.raises(EntryRefused, match="round 2 would be 'tpt' but was run as 'p2ft'"):
        run_rounds(link, run, _settings(tpt=2, p2ft=1), base)
    assert read_release(run.releases / "tpt").sha256 == before


def test_an_absent_site_costs_its_update_and_not_the_round(tmp_path: Path, base: BaseFacts) -> None:
    run = _run(tmp_path)
    settings = _settings(tpt=1)
    settings = replace(settings, quorum=replace(settings.quorum, round_s=1.0))
    link = FakeLink({1: constant(1.0), 2: constant(3.0), 3: None})
    end = run_rounds(link, run, settings, base)
    assert all(np.allclose(tensor, 2.0) for tensor in end.tensors.values())
    codes = {event["site"]: event["code"] for event in run.events() if event["event"] == "reply"}
    assert codes == {"site-1": "ok", "site-2": "ok", "site-3": "late"}


def _nan(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
    return "ok", {name: np.full_like(tensor, np.nan) for name, tensor in start.items()}


def _wrong_shape(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
    return "ok", {name: tensor[:1] for name, tensor in start.items()}


def _surplus(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
    return "ok", {**start, "Mrs Secret": np.zeros((1,), np.float32)}


def _double(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
    return "ok", {name: tensor.astype(np.float64) for name, tensor in start.items()}


@pytest.mark.parametrize("hostile", [_nan, _wrong_shape, _surplus, _double, constant(1e6)])
def test_a_bad_update_is_left_out_and_its_text_is_not_written(
    tmp_path: Path, base: BaseFacts, hostile: Answer
) -> None:
    run = _run(tmp_path)
    link = FakeLink({1: constant(1.0), 2: constant(3.0), 3: hostile})
    end = run_rounds(link, run, _settings(tpt=1), base)
    assert all(np.allclose(tensor, 2.0) for tensor in end.tensors.values())
    replies = {event["site"]: event for event in run.events() if event["event"] == "reply"}
    assert replies["site-3"]["code"] == "rejected"
    assert "Secret" not in run.events_file.read_text()


def test_the_quorum_counts_updates_and_a_missed_round_can_be_resumed(
    tmp_path: Path, base: BaseFacts
) -> None:
    def declines(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        return ("budget", {}) if plan.round == 2 else constant(1.0)(plan, start)

    run = _run(tmp_path)
    link = FakeLink({1: constant(1.0), 2: declines, 3: declines})
    with pytest.raises(QuorumMissed, match="round 2: 1 updates of 2"):
        run_rounds(link, run, _settings(tpt=2), base)
    assert not (run.releases / "tpt").exists()
    end = run_rounds(FakeLink({1: constant(1.0), 2: constant(1.0)}), run, _settings(tpt=2), base)
    assert end.round == 2
    assert all(np.allclose(tensor, 2.0) for tensor in end.tensors.values())


def test_too_few_sites_end_the_wait(tmp_path: Path, base: BaseFacts) -> None:
    with pytest.raises(QuorumMissed, match="1 sites after"):
        run_rounds(FakeLink({1: constant(1.0)}), _run(tmp_path), _settings(tpt=1), base)


def test_one_process_at_a_time_and_no_fewer_rounds_than_done(
    tmp_path: Path, base: BaseFacts
) -> None:
    run = _run(tmp_path)
    link = FakeLink({1: constant(1.0), 2: constant(1.0), 3: constant(1.0)})
    with run.only_one(), pytest.raises(RunBusy):
        run_rounds(link, run, _settings(tpt=1), base)
    run_rounds(link, run, _settings(tpt=2), base)
    with pytest.raises(EntryRefused, match="round 2 would be no more"):
        run_rounds(link, run, _settings(tpt=1), base)


def _stacked(rounds: int = 1) -> FederationSettings:
    settings = _settings(tpt=1, p2ft=rounds)
    tpt, p2ft = settings.stages
    return replace(settings, stages=(tpt, replace(p2ft, stack_rank=2)))


def _moves_the_new(value: float) -> Answer:
    """A site that moves the columns that are trained by `value` and no other."""

    def answer(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        update = trained_columns(start, plan.adapter)
        return "ok", {name: np.full_like(tensor, value) for name, tensor in update.items()}

    return answer


def test_a_stacked_stage_leaves_the_adapter_before_it_and_releases_both(
    tmp_path: Path, base: BaseFacts
) -> None:
    run = _run(tmp_path)
    link = FakeLink(dict.fromkeys((1, 2, 3), _moves_the_new(1.0)))
    end = run_rounds(link, run, _stacked(), base)
    assert [plan.adapter.rank for plan in link.plans[::3]] == [4, 6]
    for tensor in end.tensors.values():
        assert np.array_equal(tensor, np.ones_like(tensor))
    tpt, p2ft = (read_release(run.releases / stage) for stage in ("tpt", "p2ft"))
    assert p2ft.adapter == replace(tpt.adapter, rank=6, alpha=6.0)
    for name, down in tpt.content.factors.down.items():
        assert np.array_equal(p2ft.content.factors.down[name][:4], down)


def test_a_stacked_stage_is_resumed_from_either_side_of_its_start(
    tmp_path: Path, base: BaseFacts
) -> None:
    def fails_at(round: int) -> Answer:
        def answer(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
            code, update = _moves_the_new(1.0)(plan, start)
            return ("cancelled", {}) if plan.round == round else (code, update)

        return answer

    run = _run(tmp_path)
    for round in (2, 3):
        with pytest.raises(QuorumMissed, match=f"round {round}"):
            run_rounds(FakeLink(dict.fromkeys((1, 2), fails_at(round))), run, _stacked(2), base)
    end = run_rounds(FakeLink(dict.fromkeys((1, 2), _moves_the_new(1.0))), run, _stacked(2), base)
    assert end.round == 3
    for tensor in end.tensors.values():
        assert np.array_equal(tensor, np.broadcast_to([1, 1, 1, 1, 2, 2], tensor.shape))


def test_another_stack_rank_does_not_start_a_stage_over(tmp_path: Path, base: BaseFacts) -> None:
    run, sites = _run(tmp_path), dict.fromkeys((1, 2), _moves_the_new(1.0))
    run_rounds(FakeLink(sites), run, _stacked(), base)
    settings = _stacked()
    other = replace(
        settings, stages=(settings.stages[0], replace(settings.stages[1], stack_rank=3))
    )
    with pytest.raises(EntryRefused, match="adapter"):
        run_rounds(FakeLink(sites), run, other, base)


def test_an_update_that_holds_frozen_columns_is_left_out(tmp_path: Path, base: BaseFacts) -> None:
    run = _run(tmp_path)
    link = FakeLink({1: _moves_the_new(1.0), 2: _moves_the_new(3.0), 3: constant(1.0)})
    end = run_rounds(link, run, _stacked(), base)
    last = [event for event in run.events() if event["event"] == "reply"][-3:]
    assert {event["site"]: event["code"] for event in last} == {
        "site-1": "ok", "site-2": "ok", "site-3": "rejected",
    }  # fmt: skip
    assert all(np.allclose(tensor[:, 4:], 2.0) for tensor in end.tensors.values())


def test_every_round_deals_all_timesteps_and_every_site_gets_each_part_in_turn(
    tmp_path: Path, base: BaseFacts
) -> None:
    settings = _settings(tpt=3)
    (tpt,) = settings.stages
    tuning = replace(tpt.tuning, timestep_intervals=3)
    settings = replace(settings, stages=(replace(tpt, tuning=tuning),))
    link = FakeLink(dict.fromkeys((1, 2, 3), constant(1.0)))
    run_rounds(link, _run(tmp_path), settings, base)
    parts = [plan.interval for plan in link.plans]
    wanted = {(0, 3), (1, 3), (2, 3)}
    assert all(set(parts[first : first + 3]) == wanted for first in (0, 3, 6))
    assert all(set(parts[site::3]) == wanted for site in range(3))


def test_an_infinite_epsilon_is_logged_as_text(tmp_path: Path, base: BaseFacts) -> None:
    run = _run(tmp_path)
    link = FakeLink({1: constant(1.0), 2: constant(1.0), 3: constant(1.0)})
    run_rounds(link, run, _settings(tpt=1), base)
    reply = next(event for event in run.events() if event["event"] == "reply")
    assert reply["epsilon"] == "inf"
    assert "Infinity" not in run.events_file.read_text()


def test_the_coordinator_sends_back_the_receipt_that_it_holds(
    tmp_path: Path, base: BaseFacts
) -> None:
    link = FakeLink({1: constant(0.1), 2: constant(0.2)})
    run_rounds(link, _run(tmp_path), _settings(tpt=2), base)
    assert link.held == ["", "", plans.make_receipt(1, 1), plans.make_receipt(1, 2)]


@pytest.mark.parametrize(
    "receipt",
    [
        plans.make_receipt(1, 3),  # an old copy of the ledger
        plans.make_receipt(900, 4),  # another ledger
        plans.make_receipt(2, 3, head=77),  # as long, with another end
        "",
        "{}",
    ],
)
def test_a_site_whose_ledger_went_back_is_not_counted(
    tmp_path: Path, base: BaseFacts, receipt: str
) -> None:
    run = _run(tmp_path)
    sites: dict[int, Answer | None] = {1: constant(1.0), 2: constant(2.0), 3: constant(6.0)}
    run_rounds(FakeLink(sites), run, _settings(tpt=2), base)
    before = ReceiptBook(folder=run.receipts).held("site-3")
    later = FakeLink(sites, receipts={1: plans.make_receipt(50, 1), 3: receipt})
    later.receipts[2] = plans.make_receipt(50, 2)
    end = run_rounds(later, run, _settings(tpt=3), base)
    assert end.history[2]["sites"] == ["site-1", "site-2"]
    codes = {event["site"]: event["code"] for event in run.events() if event["event"] == "reply"}
    assert codes == {"site-1": "ok", "site-2": "ok", "site-3": "ledger"}
    assert ReceiptBook(folder=run.receipts).held("site-3") == before


@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_a_server_optimizer_goes_on_over_a_resumed_run_and_starts_anew_in_each_stage(
    tmp_path: Path, base: BaseFacts, kind: str
) -> None:
    optimizer = ServerOptimizerSettings(kind=kind, learning_rate=0.5, tau=1e-3)

    def asked(**rounds: int) -> FederationSettings:
        return replace(_settings(**rounds), server_optimizer=optimizer)

    sites: dict[int, Answer | None] = {1: halfway, 2: halfway, 3: constant(0.25)}
    whole = run_rounds(FakeLink(sites), _run(tmp_path / "whole"), asked(tpt=3, p2ft=1), base)
    halves = _run(tmp_path / "halves")
    run_rounds(FakeLink(sites), halves, asked(tpt=1), base)
    resumed = run_rounds(FakeLink(sites), halves, asked(tpt=3, p2ft=1), base)
    plain = run_rounds(FakeLink(sites), _run(tmp_path / "plain"), _settings(tpt=3, p2ft=1), base)
    name = next(iter(whole.tensors))
    assert np.array_equal(whole.tensors[name], resumed.tensors[name])
    assert not np.allclose(whole.tensors[name], plain.tensors[name])
    anew = ServerOptimizer(optimizer)
    with open_registry(halves) as registry:
        before = rounds(registry, asked(tpt=1).run_id)[2]["adapter_digest"]
        start = read_adapter(registry, before)[name]
    mean = (2 * (1 - start) / 2 + 0.25) / 3
    assert np.allclose(resumed.tensors[name], start + anew.step({name: mean})[name], rtol=1e-5)


def test_a_trimmed_mean_is_not_moved_by_a_hostile_site(tmp_path: Path, base: BaseFacts) -> None:
    settings = replace(
        _settings(tpt=1), aggregation=AggregationSettings(rule="trimmed-mean", trim_share=0.3)
    )
    link = FakeLink({1: constant(1.0), 2: constant(1.5), 3: constant(-3.0)})
    end = run_rounds(link, _run(tmp_path), settings, base)
    assert all(np.allclose(tensor, 1.0) for tensor in end.tensors.values())
    with pytest.raises(QuorumMissed, match="too few for trim_share"):
        run_rounds(
            FakeLink({1: constant(1.0), 2: constant(1.5)}), _run(tmp_path / "two"), settings, base
        )


def test_a_round_ends_once_enough_updates_are_in(tmp_path: Path, base: BaseFacts) -> None:
    settings = _settings(tpt=1)
    settings = replace(settings, quorum=replace(settings.quorum, enough_updates=2, round_s=60.0))
    link = FakeLink({1: constant(1.0), 2: constant(3.0), 3: None})
    end = run_rounds(link, _run(tmp_path), settings, base)  # a minute, if it waited for the third
    assert end.history[0]["sites"] == ["site-1", "site-2"]
    assert end.history[0]["seconds"] < 30
