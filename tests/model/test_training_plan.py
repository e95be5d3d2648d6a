"""The stages' defaults are the paper's; the schedule is diffusers' cosine with hard restarts."""

import pytest
import torch
from diffusers.optimization import get_cosine_with_hard_restarts_schedule_with_warmup

from ophora_model.errors import PlanInvalid
from ophora_model.presets import find_preset
from ophora_model.training_plan import TrainingPlan


def test_full_size_defaults_are_the_papers():
    base = find_preset("cogvideox-2b")
    tpt, p2ft = (TrainingPlan.of_stage(base, stage) for stage in ("tpt", "p2ft"))
    assert (tpt.steps, tpt.learning_rate) == (65_000, 1e-4)
    assert (p2ft.steps, p2ft.learning_rate) == (4_500, 5e-5)
    for plan in (tpt, p2ft):
        assert (plan.beta1, plan.beta2, plan.weight_decay) == (0.9, 0.95, 1e-3)
        assert (plan.max_grad_norm, plan.warmup_steps) == (1.0, 800)
        assert plan.gradient_checkpointing


@pytest.mark.parametrize("restarts", [1, 3])
def test_the_learning_rate_is_that_of_diffusers(restarts):
    plan = TrainingPlan(
        stage="tpt", steps=50, batch_size=1, learning_rate=0.1, warmup_steps=7, restarts=restarts
    )
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = get_cosine_with_hard_restarts_schedule_with_warmup(
        optimizer, 7, 50, num_cycles=restarts
    )
    for step in range(1, 51):
        assert plan.learning_rate_at(step) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_another_plan_has_another_fingerprint():
    plan = TrainingPlan.of_stage(find_preset("tiny"), "tpt")
    other = TrainingPlan.of_stage(find_preset("tiny"), "tpt", seed=43)
    assert plan.fingerprint() != other.fingerprint()
    assert plan.fingerprint() == TrainingPlan.of_stage(find_preset("tiny"), "tpt").fingerprint()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"ema_decay": 1.0}, r"ema_decay=1\.0"),
        ({"timestep_sampler": "odd"}, "timestep_sampler='odd'"),
        ({"gradient_checkpointing": 1}, "gradient_checkpointing=1"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_value_is_named(changed, said):
    with pytest.raises(PlanInvalid, match=said):
        TrainingPlan.of_stage(find_preset("tiny"), "tpt", **changed)
