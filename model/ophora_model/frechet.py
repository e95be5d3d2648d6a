"""The Frechet distance between two sets of features, with a bootstrap interval.

Each set is summarised by its mean and covariance; the distance is that of two Gaussians with these
(Heusel et al. 2017, arXiv 1706.08500). With few samples it is biased upwards, by more the wider the
features are: compare distances over equal numbers of samples only. The features are taken along
the widest axes of the first set, so that a few hundred samples describe their covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ophora_model.errors import PlanInvalid

Features = NDArray[np.float64]
AXES = 16
_RESAMPLED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """A distance, its 95 % interval over resampled second sets, and their size."""

    value: float
    low: float
    high: float
    samples: int


def frechet_distance(real: Features, made: Features) -> float:
    """Between rows of features [N, D]; 0 for sets with one mean and covariance.

    Raises `PlanInvalid` for sets of other widths, of fewer than two rows or that are not finite.
    """
    _check(real, made)
    gap = real.mean(0) - made.mean(0)
    spread, other = np.atleast_2d(np.cov(real.T)), np.atleast_2d(np.cov(made.T))
    root = _root(spread)
    cross = _root(root @ other @ root)
    return float(gap @ gap + np.trace(spread) + np.trace(other) - 2 * np.trace(cross))


def measure_distance(real: Features, made: Features, *, seed: int, axes: int = AXES) -> Distance:
    """Along the widest axes of `real`; the interval resamples `made`. Raises `PlanInvalid`."""
    _check(real, made)
    centre = real.mean(0)
    _, _, directions = np.linalg.svd(real - centre, full_matrices=False)
    turned = directions[:axes].T
    real, made = (real - centre) @ turned, (made - centre) @ turned
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(made), (_RESAMPLED, len(made)))
    again = [frechet_distance(real, made[rows]) for rows in picks]
    value = frechet_distance(real, made)
    # a resampled set repeats rows, which shifts all its distances up: the spread is what counts
    low, high = np.quantile(again, [0.025, 0.975]) - np.median(again) + value
    return Distance(value=value, low=float(max(0.0, low)), high=float(high), samples=len(made))


def _root(matrix: Features) -> Features:
    """The symmetric square root; eigenvalues that rounding made negative are zero."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    root: Features = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


def _check(real: Features, made: Features) -> None:
    if real.ndim != 2 or made.ndim != 2 or real.shape[1] != made.shape[1]:
        raise PlanInvalid(f"features {real.shape} and {made.shape}: must be [N, D] of one width")
    if min(len(real), len(made)) < 2:
        raise PlanInvalid(f"features: {len(real)} and {len(made)} rows; at least 2 are needed")
    if not (np.isfinite(real).all() and np.isfinite(made).all()):
        raise PlanInvalid("features hold NaN or infinity: look at the videos they are of")
