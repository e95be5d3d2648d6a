"""The loop over a wire of fakes: averaging, quorum, deadlines, resume, hostile replies."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import plans
from fake_rounds import Answer, FakeLink, asked_for, constant, halfway, not_a_number, run_folder
from ophora_model.release import read_release
from ophora_model.round_plan import RoundPlan
from ophora_model.stacking import trained_columns
from ophora_model.update import Tensors
from ophora_server.errors import QuorumMissed, RunBusy
from ophora_server.federation_settings import FederationSettings
from ophora_server.one_round import BaseFacts, read_base_facts
from ophora_server.receipts import ReceiptBook
from ophora_server.registry.errors import EntryRefused
from ophora_server.rounds import run_rounds


@pytest.fixture(scope="module")
def base() -> BaseFacts:
    return read_base_facts(asked_for(tpt=1))


def test_rounds_average_with_equal_weights_and_end_in_releases(
    tmp_path: Path, base: BaseFacts
) -> None:
    run = run_folder(tmp_path)
    link = FakeLink({1: constant(1.0), 2: constant(2.0), 3: constant(6.0)})
    end = run_rounds(link, run, asked_for(tpt=2, p2ft=1), base)
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
    run = run_folder(tmp_path)
    link = FakeLink({1: constant(0.1), 2: constant(0.2)}, epsilons={1: 4.0, 2: 1.5})
    run_rounds(link, run, asked_for(tpt=1, p2ft=1), base)
    tpt, p2ft = (read_release(run.releases / stage).card for stage in ("tpt", "p2ft"))
    assert (tpt.epsilon, p2ft.epsilon) == (4.0, 8.0)
    assert tpt.delta == p2ft.delta == 2e-3


def test_a_release_states_nothing_where_one_site_has_no_bound(
    tmp_path: Path, base: BaseFacts
) -> None:
    run = run_folder(tmp_path)
    link = FakeLink({1: constant(0.1), 2: constant(0.2)}, epsilons={1: 4.0})
    run_rounds(link, run, asked_for(tpt=1), base)
    card = read_release(run.releases / "tpt").card
    assert (card.epsilon, card.delta) == (None, None)


def test_a_resumed_run_equals_one_that_was_never_interrupted(
    tmp_path: Path, base: BaseFacts
) -> None:
    sites: dict[int, Answer | None] = {1: halfway, 2: halfway, 3: constant(0.25)}
    whole = run_rounds(FakeLink(sites), run_folder(tmp_path / "whole"), asked_for(tpt=4), base)
    halves = run_folder(tmp_path / "halves")
    run_rounds(FakeLink(sites), halves, asked_for(tpt=2), base)
    link = FakeLink(sites)
    resumed = run_rounds(link, halves, asked_for(tpt=4), base)
    assert sorted({plan.round for plan in link.plans}) == [3, 4]
    for name, tensor in whole.tensors.items():
        assert np.array_equal(tensor, resumed.tensors[name])


def test_another_adapter_does_not_start_over_on_finished_rounds(
    tmp_path: Path, base: BaseFacts
) -> None:
    run, settings = run_folder(tmp_path), asked_for(tpt=2)
    sites: dict[int, Answer | None] = dict.fromkeys((1, 2, 3), constant(1.0))
    run_rounds(FakeLink(sites), run, settings, base)
    other = replace(settings, adapter=replace(settings.adapter, rank=8))
    link = FakeLink(sites)
    with pytest.raises(EntryRefused, match="adapter"):
        run_rounds(link, run, other, read_base_facts(other))
    assert link.plans == []
    assert run_rounds(link, run, settings, base).round == 2


def test_a_stage_that_is_over_gets_no_more_rounds(tmp_path: Path, base: BaseFacts) -> None:
    run = run_folder(tmp_path)
    link = FakeLink(dict.fromkeys((1, 2, 3), constant(1.0)))
    run_rounds(link, run, asked_for(tpt=1, p2ft=1), base)
    before = read_release(run.releases / "tpt").sha256
    with pytest.raises(EntryRefused, match="round 2 would be 'tpt' but was run as 'p2ft'"):
        run_rounds(link, run, asked_for(tpt=2, p2ft=1), base)
    assert read_release(run.releases / "tpt").sha256 == before


def test_an_absent_site_costs_its_update_and_not_the_round(tmp_path: Path, base: BaseFacts) -> None:
    run = run_folder(tmp_path)
    settings = asked_for(tpt=1)
    settings = replace(settings, quorum=replace(settings.quorum, round_s=1.0))
    link = FakeLink({1: constant(1.0), 2: constant(3.0), 3: None})
    end = run_rounds(link, run, settings, base)
    assert all(np.allclose(tensor, 2.0) for tensor in end.tensors.values())
    codes = {event["site"]: event["code"] for event in run.events() if event["event"] == "reply"}
    assert codes == {"site-1": "ok", "site-2": "ok", "site-3": "late"}


def _wrong_shape(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
    return "ok", {name: tensor[:1] for name, tensor in start.items()}


def _surplus(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
    return "ok", {**start, "Mrs Secret": np.zeros((1,), np.float32)}


def _double(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
    return "ok", {name: tensor.astype(np.float64) for name, tensor in start.items()}


@pytest.mark.parametrize("hostile", [not_a_number, _wrong_shape, _surplus, _double, constant(1e6)])
def test_a_bad_update_is_left_out_and_its_text_is_not_written(
    tmp_path: Path, base: BaseFacts, hostile: Answer
) -> None:
    run = run_folder(tmp_path)
    link = FakeLink({1: constant(1.0), 2: constant(3.0), 3: hostile})
    end = run_rounds(link, run, asked_for(tpt=1), base)
    assert all(np.allclose(tensor, 2.0) for tensor in end.tensors.values())
    replies = {event["site"]: event for event in run.events() if event["event"] == "reply"}
    assert replies["site-3"]["code"] == "rejected"
    assert "Secret" not in run.events_file.read_text()


def test_the_quorum_counts_updates_and_a_missed_round_can_be_resumed(
    tmp_path: Path, base: BaseFacts
) -> None:
    def declines(plan: RoundPlan, start: Tensors) -> tuple[str, Mapping[str, object]]:
        return ("budget", {}) if plan.round == 2 else constant(1.0)(plan, start)

    run = run_folder(tmp_path)
    link = FakeLink({1: constant(1.0), 2: declines, 3: declines})
    with pytest.raises(QuorumMissed, match="round 2: 1 updates of 2"):
        run_rounds(link, run, asked_for(tpt=2), base)
    assert not (run.releases / "tpt").exists()
    end = run_rounds(FakeLink({1: constant(1.0), 2: constant(1.0)}), run, asked_for(tpt=2), base)
    assert end.round == 2
    assert all(np.allclose(tensor, 2.0) for tensor in end.tensors.values())


def test_too_few_sites_end_the_wait(tmp_path: Path, base: BaseFacts) -> None:
    with pytest.raises(QuorumMissed, match="1 sites after"):
        run_rounds(FakeLink({1: constant(1.0)}), run_folder(tmp_path), asked_for(tpt=1), base)


def test_one_process_at_a_time_and_no_fewer_rounds_than_done(
    tmp_path: Path, base: BaseFacts
) -> None:
    run = run_folder(tmp_path)
    link = FakeLink({1: constant(1.0), 2: constant(1.0), 3: constant(1.0)})
    with run.only_one(), pytest.raises(RunBusy):
        run_rounds(link, run, asked_for(tpt=1), base)
    run_rounds(link, run, asked_for(tpt=2), base)
    with pytest.raises(EntryRefused, match="round 2 would be no more"):
        run_rounds(link, run, asked_for(tpt=1), base)


def _stacked(rounds: int = 1) -> FederationSettings:
    settings = asked_for(tpt=1, p2ft=rounds)
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
    run = run_folder(tmp_path)
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

    run = run_folder(tmp_path)
    for round in (2, 3):
        with pytest.raises(QuorumMissed, match=f"round {round}"):
            run_rounds(FakeLink(dict.fromkeys((1, 2), fails_at(round))), run, _stacked(2), base)
    end = run_rounds(FakeLink(dict.fromkeys((1, 2), _moves_the_new(1.0))), run, _stacked(2), base)
    assert end.round == 3
    for tensor in end.tensors.values():
        assert np.array_equal(tensor, np.broadcast_to([1, 1, 1, 1, 2, 2], tensor.shape))


def test_another_stack_rank_does_not_start_a_stage_over(tmp_path: Path, base: BaseFacts) -> None:
    run, sites = run_folder(tmp_path), dict.fromkeys((1, 2), _moves_the_new(1.0))
    run_rounds(FakeLink(sites), run, _stacked(), base)
    settings = _stacked()
    other = replace(
        settings, stages=(settings.stages[0], replace(settings.stages[1], stack_rank=3))
    )
    with pytest.raises(EntryRefused, match="adapter"):
        run_rounds(FakeLink(sites), run, other, base)


def test_an_update_that_holds_frozen_columns_is_left_out(tmp_path: Path, base: BaseFacts) -> None:
    run = run_folder(tmp_path)
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
    settings = asked_for(tpt=3)
    (tpt,) = settings.stages
    tuning = replace(tpt.tuning, timestep_intervals=3)
    settings = replace(settings, stages=(replace(tpt, tuning=tuning),))
    link = FakeLink(dict.fromkeys((1, 2, 3), constant(1.0)))
    run_rounds(link, run_folder(tmp_path), settings, base)
    parts = [plan.interval for plan in link.plans]
    wanted = {(0, 3), (1, 3), (2, 3)}
    assert all(set(parts[first : first + 3]) == wanted for first in (0, 3, 6))
    assert all(set(parts[site::3]) == wanted for site in range(3))


def test_an_infinite_epsilon_is_logged_as_text(tmp_path: Path, base: BaseFacts) -> None:
    run = run_folder(tmp_path)
    link = FakeLink({1: constant(1.0), 2: constant(1.0), 3: constant(1.0)})
    run_rounds(link, run, asked_for(tpt=1), base)
    reply = next(event for event in run.events() if event["event"] == "reply")
    assert reply["epsilon"] == "inf"
    assert "Infinity" not in run.events_file.read_text()


def test_the_coordinator_sends_back_the_receipt_that_it_holds(
    tmp_path: Path, base: BaseFacts
) -> None:
    link = FakeLink({1: constant(0.1), 2: constant(0.2)})
    run_rounds(link, run_folder(tmp_path), asked_for(tpt=2), base)
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
    run = run_folder(tmp_path)
    sites: dict[int, Answer | None] = {1: constant(1.0), 2: constant(2.0), 3: constant(6.0)}
    run_rounds(FakeLink(sites), run, asked_for(tpt=2), base)
    before = ReceiptBook(folder=run.receipts).held("site-3")
    later = FakeLink(sites, receipts={1: plans.make_receipt(50, 1), 3: receipt})
    later.receipts[2] = plans.make_receipt(50, 2)
    end = run_rounds(later, run, asked_for(tpt=3), base)
    assert end.history[2]["sites"] == ["site-1", "site-2"]
    codes = {event["site"]: event["code"] for event in run.events() if event["event"] == "reply"}
    assert codes == {"site-1": "ok", "site-2": "ok", "site-3": "ledger"}
    assert ReceiptBook(folder=run.receipts).held("site-3") == before
