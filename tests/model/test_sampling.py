"""Sampling: the record decides the video; a cancelled call leaves nothing behind."""

import numpy as np
import pytest

from ophora_model.errors import Cancelled, PlanInvalid
from ophora_model.sampling import Generator, SamplerRecord

RECORD = SamplerRecord(seed=5, steps=2, guidance=2.0, dynamic_guidance=False)


@pytest.fixture
def generator(tiny_base):
    return Generator(tiny_base)


def test_same_record_same_video_also_after_a_cancelled_call(generator):
    first = generator.generate(["a red disc"], RECORD)[0]
    with pytest.raises(Cancelled):
        generator.generate(["a blue bar"], RECORD, cancelled=lambda: True)
    again = generator.generate(["a red disc"], RECORD)[0]
    assert first.shape == (9, 64, 96, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)


def test_another_seed_or_prompt_gives_another_video(generator):
    first, second = generator.generate(["a red disc", "a red disc"], RECORD)
    other = generator.generate(["white letters on black"], RECORD)[0]
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_steps_are_reported_in_order(generator):
    steps = []
    generator.generate(["a disc"], RECORD, on_step=lambda step, total: steps.append((step, total)))
    assert steps == [(1, 2), (2, 2)]


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 2001])
def test_an_empty_or_overlong_prompt_is_refused(generator, prompt):
    with pytest.raises(PlanInvalid, match="must have 1 to 2000"):
        generator.generate([prompt], RECORD)
