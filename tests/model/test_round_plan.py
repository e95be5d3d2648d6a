"""Round plans cross the wire whole and strict; updates are an algebra."""

import json

import numpy as np
import pytest

from ophora_model.errors import AdapterMismatch, PlanInvalid
from ophora_model.round_plan import RoundPlan
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


def test_updates_add_scale_and_have_a_norm():
    one = Update(tensors={"a": np.array([3.0], np.float32), "b": np.array([0.0], np.float32)})
    two = Update(tensors={"a": np.array([0.0], np.float32), "b": np.array([4.0], np.float32)})
    assert (one + two).l2_norm() == pytest.approx(5.0)
    assert (one - one).l2_norm() == 0
    assert (one + two).scaled(0.5).l2_norm() == pytest.approx(2.5)
    with pytest.raises(AdapterMismatch):
        one + Update(tensors={"a": np.array([3.0], np.float32)})
