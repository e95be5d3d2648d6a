"""The norm bound, the noise and the sampler hold whatever the gradients are."""

import dataclasses
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ophora_privacy.errors import InvalidPlan, NonFiniteGradient, PatientsMiscounted
from ophora_privacy.mechanism import (
    ClippedGradient,
    ClippedGradients,
    PatientSum,
    clip_gradient,
    clip_gradients,
    sample_patients,
)
from ophora_privacy.plan import PrivacyPlan

PLAN = PrivacyPlan(
    clip_norm=0.5,
    noise_multiplier=2.0,
    sampling_rate=0.5,
    steps_per_round=1,
    delta=1e-5,
    clips_per_patient=1,
    normaliser=4.0,
)
QUIET = dataclasses.replace(PLAN, noise_multiplier=0.0)
numbers = st.floats(-(2.0**60), 2.0**60, width=32)


def _norm(tensors: list[torch.Tensor]) -> float:
    return float(sum(t.double().square().sum() for t in tensors)) ** 0.5


@settings(deadline=None, max_examples=200)
@given(st.lists(numbers, min_size=3, max_size=3), st.lists(numbers, min_size=2, max_size=2))
def test_one_patient_moves_the_sum_by_at_most_the_clip_norm(a: list[float], b: list[float]) -> None:
    generator = torch.Generator().manual_seed(0)
    without = PatientSum([(3,), (2,)], QUIET, generator)
    with_patient = PatientSum([(3,), (2,)], QUIET, generator)
    other = clip_gradient([torch.ones(3), torch.ones(2)], 0.5)
    without.add(other)
    with_patient.add(other)
    with_patient.add(clip_gradient([torch.tensor(a), torch.tensor(b)], 0.5))
    pairs = zip(with_patient.noisy_mean(), without.noisy_mean(), strict=True)
    assert _norm([(x - y) * QUIET.normaliser for x, y in pairs]) <= 0.5 * (1 + 1e-5)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.lists(numbers, min_size=5, max_size=5), min_size=1, max_size=4))
def test_several_patients_are_clipped_each_as_alone(rows: list[list[float]]) -> None:
    table = torch.tensor(rows)
    together = clip_gradients([table[:, :3], table[:, 3:]], 0.5)
    alone = [clip_gradient([row[:3], row[3:]], 0.5) for row in table]
    for number, total in enumerate(together.sums):
        wanted = torch.stack([each.tensors[number] for each in alone]).sum(dim=0)
        assert torch.allclose(total, wanted, rtol=1e-5, atol=1e-6)
    assert together.norms_before == pytest.approx([each.norm_before for each in alone])
    rest = clip_gradients([table[1:, :3], table[1:, 3:]], 0.5)
    moved = [x - y for x, y in zip(together.sums, rest.sums, strict=True)]
    assert _norm(moved) <= 0.5 * (1 + 1e-5)


@pytest.mark.parametrize("clip_norm", [0.5, 7.6e-7])
@pytest.mark.parametrize("size", [2.0**63, 2.0**127])
def test_a_huge_gradient_is_not_scaled_by_a_rounded_up_factor(
    size: float, clip_norm: float
) -> None:
    found = clip_gradients([torch.full((1, 3), size)], clip_norm)
    assert _norm(list(found.sums)) <= clip_norm * (1 + 1e-5)


def test_a_norm_of_many_numbers_is_exact_enough_to_clip_to() -> None:
    found = clip_gradients([torch.full((1, 10_000_000), 0.1)], 0.5)
    assert _norm(list(found.sums)) == pytest.approx(0.5, rel=2e-6)


def test_one_patient_that_is_not_finite_keeps_all_out() -> None:
    with pytest.raises(NonFiniteGradient):
        clip_gradients([torch.tensor([[1.0], [float("nan")], [1.0]])], 0.5)


def test_no_patients_sum_to_zero_and_uneven_rows_are_refused() -> None:
    nobody = clip_gradients([torch.zeros(0, 3), torch.zeros(0, 2)], 0.5)
    assert [total.tolist() for total in nobody.sums] == [[0.0] * 3, [0.0] * 2]
    for uneven in ([torch.zeros(2, 3), torch.zeros(1, 2)], [torch.zeros(())], []):
        with pytest.raises(InvalidPlan, match="rows"):
            clip_gradients(uneven, 0.5)


def test_a_miscounted_step_raises_before_any_noise_is_drawn() -> None:
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    total = PatientSum([(2,)], PLAN, generator)
    total.add(clip_gradients([torch.ones(2, 2)], 0.5))
    total.add(clip_gradient([torch.ones(2)], 0.5))
    for drawn in (0, 2, 4):
        with pytest.raises(PatientsMiscounted, match=f"3 patients for {drawn}"):
            total.noisy_mean(drawn=drawn)
    assert torch.equal(generator.get_state(), before)
    total.noisy_mean(drawn=3)
    total.noisy_mean(drawn=0)


def test_a_small_gradient_is_left_alone_and_a_large_one_keeps_its_direction() -> None:
    small = clip_gradient([torch.tensor([0.1, 0.2])], 0.5)
    assert torch.equal(small.tensors[0], torch.tensor([0.1, 0.2]))
    large = clip_gradient([torch.tensor([30.0, 40.0])], 0.5)
    assert torch.allclose(large.tensors[0], torch.tensor([0.3, 0.4]), atol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_non_finite_gradient_is_refused(bad: float) -> None:
    with pytest.raises(NonFiniteGradient):
        clip_gradient([torch.tensor([1.0, bad])], 0.5)


def test_the_sum_takes_only_what_was_clipped_to_its_norm() -> None:
    total = PatientSum([(2,)], PLAN, torch.Generator())
    with pytest.raises(TypeError):
        total.add(torch.ones(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ClippedGradient(tensors=(torch.ones(2),), clip_norm=0.5, norm_before=1.0, made_by=object())
    with pytest.raises(TypeError):
        ClippedGradients(sums=(torch.ones(2),), clip_norm=0.5, norms_before=(), made_by=object())
    with pytest.raises(InvalidPlan, match="clip_norm"):
        total.add(clip_gradient([torch.ones(2)], 5.0))
    with pytest.raises(InvalidPlan, match="shapes"):
        total.add(clip_gradient([torch.ones(3)], 0.5))


def test_the_noise_has_the_planned_deviation_even_for_an_empty_sample() -> None:
    total = PatientSum([(200_000,)], PLAN, torch.Generator().manual_seed(7))
    (noise,) = total.noisy_mean()
    expected = 2.0 * 0.5 / 4.0  # noise multiplier x clip norm / normaliser
    # 200,000 draws: the sample deviation is within 1 % with overwhelming probability
    assert abs(float(noise.std()) / expected - 1) < 0.01
    (again,) = total.noisy_mean()
    assert not torch.equal(noise, again)


def test_the_mean_starts_over_and_divides_by_the_public_constant() -> None:
    total = PatientSum([(1,)], QUIET, torch.Generator())
    total.add(clip_gradient([torch.tensor([0.4])], 0.5))
    assert total.noisy_mean()[0].item() == pytest.approx(0.1)
    assert total.noisy_mean()[0].item() == 0.0


def test_patients_are_drawn_independently_at_the_rate() -> None:
    rng = random.Random(3)
    ids = [str(n) for n in range(50)]
    draws = [len(sample_patients(ids, 0.3, rng)) for _ in range(2000)]
    mean = sum(draws) / len(draws)
    variance = sum((d - mean) ** 2 for d in draws) / len(draws)
    assert mean == pytest.approx(15.0, abs=0.3)
    assert variance == pytest.approx(10.5, rel=0.15)  # binomial; a fixed-size batch has 0
    assert sample_patients(ids, 1.0, rng) == ids
    with pytest.raises(InvalidPlan):
        sample_patients(ids, 0.0, rng)
