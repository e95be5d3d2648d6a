"""Intervals cover the schedule, each timestep once; every sampler stays in its interval."""

import pytest
import torch

from ophora_model.errors import PlanInvalid
from ophora_model.timesteps import TIMESTEP_SAMPLERS, Interval, draw_timestep


@pytest.mark.parametrize("count", [1, 3, 8, 16, 1000])
def test_intervals_cover_every_timestep_once(count):
    met = []
    for index in range(count):
        low, high = Interval(index=index, count=count).bounds(1000)
        met += range(low, high)
    assert met == list(range(1000))


@pytest.mark.parametrize("sampler", TIMESTEP_SAMPLERS)
def test_a_sampler_stays_in_its_interval_and_reaches_its_ends(sampler):
    generator = torch.Generator().manual_seed(0)
    interval = Interval(index=1, count=100)
    drawn = {draw_timestep(sampler, generator, steps=1000, interval=interval) for _ in range(2000)}
    assert drawn == set(range(10, 20))


def test_samplers_prefer_other_levels_of_noise():
    def mean(sampler):
        generator = torch.Generator().manual_seed(1)
        drawn = [draw_timestep(sampler, generator, steps=1000) for _ in range(4000)]
        return sum(drawn) / len(drawn), sum(abs(t - 500) for t in drawn) / len(drawn)

    uniform, middle, high = map(mean, ("uniform", "logit-normal", "high-noise"))
    assert abs(uniform[0] - 500) < 20
    assert middle[1] < 0.8 * uniform[1]
    assert abs(high[0] - 667) < 20


def test_bad_intervals_and_samplers_are_refused():
    with pytest.raises(PlanInvalid, match=r"interval\.index=3"):
        Interval(index=3, count=3)
    with pytest.raises(PlanInvalid, match=r"interval\.count=20: must be at most 10"):
        Interval(index=0, count=20).bounds(10)
    with pytest.raises(PlanInvalid, match="timestep_sampler='odd'"):
        draw_timestep("odd", torch.Generator(), steps=10)
