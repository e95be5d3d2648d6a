"""Round plans cross the wire whole and strict; updates are an algebra."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ophora_model.errors import AdapterMismatch, PlanInvalid
from ophora_model.round_plan import RoundPlan, TuningPlan, deal_interval
from ophora_model.timesteps import WHOLE
from ophora_model.update import Update


def test_a_plan_survives_the_wire(round_plan):
    plan = round_plan(privacy={"clip_norm": 1.0})
    assert RoundPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": "warmup"}, r"stage='warmup': unknown; allowed: tpt, p2ft"),
        ({"preset": "huge"}, r"preset='huge'"),
        ({"round": 0}, r"round=0"),
        ({"path": "x"}, r"plan\.path='x': unknown key"),
        ({"run_id": "../../etc"}, r"run_id"),
    ],
)
def test_a_bad_plan_names_key_value_and_what_is_allowed(round_plan, change, message):
    given = {**json.loads(round_plan().to_json()), **change}
    with pytest.raises(PlanInvalid, match=message):
        RoundPlan.from_json(json.dumps(given))


def _parted(plan: RoundPlan, count: int, interval: tuple[int, int] | None) -> RoundPlan:
    return replace(plan, tuning=replace(plan.tuning, timestep_intervals=count), interval=interval)


def test_a_stacked_adapter_and_an_interval_survive_the_wire(round_plan, small_spec):
    plan = _parted(round_plan(adapter=small_spec.stacked(2)), 4, (3, 4))
    read = RoundPlan.from_json(plan.to_json())
    assert read == plan
    assert read.timestep_interval().bounds(1000) == (750, 1000)
    assert round_plan().timestep_interval() == WHOLE


@pytest.mark.parametrize(
    ("count", "interval", "message"),
    [
        (4, None, r"interval=None.*timestep_intervals=4"),
        (1, (0, 1), r"interval=\(0, 1\).*none for 1"),
        (4, (4, 4), r"interval\.index=4"),
        (4, (1, 8), r"interval\.count=8"),
        (4, (-1, 4), r"interval\.index=-1"),
        (4, (True, 4), r"interval\.index=True"),
        (4, "14", r"interval='14'"),
        (0, None, r"tuning\.timestep_intervals=0"),
    ],
)
def test_an_interval_that_does_not_fit_the_plan_is_refused(round_plan, count, interval, message):
    with pytest.raises(PlanInvalid, match=message):
        _parted(round_plan(), count, interval)


@pytest.mark.parametrize("sites", [1, 3, 4, 9])
def test_the_sites_of_a_round_cover_the_timesteps_and_each_site_gets_them_in_turn(
    round_plan, sites
):
    tuning = replace(round_plan().tuning, timestep_intervals=4)
    dealt = [
        [deal_interval(tuning, round=round, place=place) for place in range(sites)]
        for round in range(1, 5)
    ]
    wanted = {(index, 4) for index in range(4)}
    assert {each for row in dealt for each in row} == wanted
    assert all(set(column) == wanted for column in zip(*dealt, strict=True))
    if sites >= 4:
        assert all(set(row) == wanted for row in dealt)
    assert deal_interval(round_plan().tuning, round=2, place=1) is None


def test_tuning_settings_from_before_intervals_are_read(round_plan):
    given = round_plan().tuning.to_dict()
    del given["timestep_intervals"]
    assert TuningPlan.from_dict(given) == round_plan().tuning
    with pytest.raises(PlanInvalid, match=r"tuning\.beta1: missing"):
        TuningPlan.from_dict({name: value for name, value in given.items() if name != "beta1"})


def test_updates_add_scale_and_have_a_norm():
    one = Update(tensors={"a": np.array([3.0], np.float32), "b": np.array([0.0], np.float32)})
    two = Update(tensors={"a": np.array([0.0], np.float32), "b": np.array([4.0], np.float32)})
    assert (one + two).l2_norm() == pytest.approx(5.0)
    assert (one - one).l2_norm() == 0
    assert (one + two).scaled(0.5).l2_norm() == pytest.approx(2.5)
    with pytest.raises(AdapterMismatch):
        one + Update(tensors={"a": np.array([3.0], np.float32)})
