"""The Frechet distance: known values, its interval, and what is refused."""

import numpy as np
import pytest

from ophora_model.errors import PlanInvalid
from ophora_model.frechet import frechet_distance, measure_distance


def gaussian(rows, width, *, seed, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(size=(rows, width)) * scale + shift


def test_a_set_is_at_no_distance_of_itself():
    features = gaussian(200, 6, seed=1)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)


def test_a_shift_counts_its_square_and_a_scale_that_of_its_difference():
    features = gaussian(500, 4, seed=2)
    assert frechet_distance(features, features + 3.0) == pytest.approx(4 * 9.0)
    variances = np.trace(np.cov(features.T))
    assert frechet_distance(features, features * 2) == pytest.approx(
        variances + (features.mean(0) ** 2).sum(), rel=1e-6
    )


def test_correlated_features_have_the_published_value():
    """Of scipy's square root of the product of both covariances."""
    from scipy.linalg import sqrtm

    mix = np.random.default_rng(3).normal(size=(5, 5))
    real, made = gaussian(300, 5, seed=4) @ mix, gaussian(250, 5, seed=5, shift=0.3)
    a, b = np.cov(real.T), np.cov(made.T)
    gap = real.mean(0) - made.mean(0)
    wanted = gap @ gap + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert frechet_distance(real, made) == pytest.approx(wanted, rel=1e-6)


def test_the_interval_holds_the_value_and_narrows_with_samples():
    real = gaussian(400, 8, seed=6)
    few = measure_distance(real, gaussian(40, 8, seed=7, shift=0.5), seed=0)
    many = measure_distance(real, gaussian(400, 8, seed=8, shift=0.5), seed=0)
    assert few.low < few.value < few.high
    assert many.high - many.low < few.high - few.low
    assert (few.samples, many.samples) == (40, 400)


def test_only_the_widest_axes_of_the_real_set_count():
    real = gaussian(300, 3, seed=9) * np.array([10.0, 5.0, 0.01])
    moved = real + np.array([0.0, 0.0, 100.0])
    assert measure_distance(real, moved, seed=0, axes=2).value < 0.1
    assert measure_distance(real, moved, seed=0, axes=3).value == pytest.approx(1e4, rel=1e-3)


@pytest.mark.parametrize(
    ("real", "made", "said"),
    [
        (np.zeros((4, 3)), np.zeros((4, 2)), "one width"),
        (np.zeros((1, 3)), np.zeros((4, 3)), "at least 2"),
        (np.full((4, 3), np.nan), np.zeros((4, 3)), "NaN"),
    ],
)
def test_bad_features_are_refused(real, made, said):
    with pytest.raises(PlanInvalid, match=said):
        frechet_distance(real, made)
