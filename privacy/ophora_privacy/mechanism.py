"""Sample patients, clip each patient's gradient, sum, add noise once.

Data path: patient ids -> `sample_patients` -> (one gradient per patient, made by the caller) ->
`clip_gradient` -> `PatientSum.add` -> `PatientSum.noisy_mean` -> the optimizer. The sum accepts
only what `clip_gradient` made, so that leaving out the clipping is a type error.

The noise is drawn by torch's generator, which is not a cryptographic one; seed it from the
operating system and keep the seed at the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ophora_privacy.errors import InvalidPlan, NonFiniteGradient
from ophora_privacy.plan import PrivacyPlan

_MADE_BY_CLIP = object()
_ROUNDING_MARGIN = 1e-6  # float32 scaling may overshoot the norm by some 1e-7


class RandomSource(Protocol):
    """`random.Random` and numpy's `Generator` both fit."""

    def random(self) -> float:
        """A draw from [0, 1)."""
        ...


def sample_patients(ids: Sequence[str], rate: float, rng: RandomSource) -> list[str]:
    """Each patient independently with probability `rate`: Poisson sampling, as accounted for.

    The result may be empty; the step then still adds its noise. Raises InvalidPlan.
    """
    if not 0 < rate <= 1:
        raise InvalidPlan(f"rate={rate!r}: must be in (0, 1]")
    return [patient for patient in ids if rng.random() < rate]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedGradient:
    """One patient's gradient, L2 norm at most `clip_norm`; only `clip_gradient` makes it."""

    tensors: tuple[torch.Tensor, ...]
    clip_norm: float
    norm_before: float  # still identifiable: must not leave the site
    made_by: object

    def __post_init__(self) -> None:
        if self.made_by is not _MADE_BY_CLIP:
            raise TypeError("a ClippedGradient is made by clip_gradient() only")


def clip_gradient(grads: Sequence[torch.Tensor], clip_norm: float) -> ClippedGradient:
    """Scale one patient's gradient so that its L2 norm over all tensors is at most `clip_norm`.

    A zero gradient stays zero. Raises NonFiniteGradient on NaN or infinity: a NaN passes any
    comparison with the norm and would be added unclipped. Raises InvalidPlan on a bad `clip_norm`.
    """
    if not 0 < clip_norm < float("inf"):
        raise InvalidPlan(f"clip_norm={clip_norm!r}: must be finite and > 0")
    tensors = [grad.detach().to(torch.float32) for grad in grads]
    squares = sum(float(tensor.double().square().sum()) for tensor in tensors)
    norm = squares**0.5
    if not norm < float("inf"):
        raise NonFiniteGradient(f"gradient norm={norm!r}: must be finite; lower the learning rate")
    scale = 1.0
    if norm > clip_norm * (1 - _ROUNDING_MARGIN):
        scale = clip_norm / norm * (1 - _ROUNDING_MARGIN)
    return ClippedGradient(
        tensors=tuple(tensor * scale for tensor in tensors),
        clip_norm=clip_norm,
        norm_before=norm,
        made_by=_MADE_BY_CLIP,
    )


class PatientSum:
    """The sum over one step's patients.

    Sensitivity: `plan.clip_norm` when a patient joins or leaves. The caller adds each
    sampled patient once. Nothing but `noisy_mean` reads the sum.
    """

    def __init__(
        self,
        shapes: Sequence[Sequence[int]],
        plan: PrivacyPlan,
        generator: torch.Generator,
    ) -> None:
        self._shapes = tuple(tuple(shape) for shape in shapes)
        self._plan = plan
        self._generator = generator
        self._sums = self._zeros()

    def add(self, gradient: ClippedGradient) -> None:
        """Add one patient. Raises TypeError on anything that `clip_gradient` did not make."""
        if not isinstance(gradient, ClippedGradient):
            raise TypeError(f"{type(gradient).__name__}: clip it first with clip_gradient()")
        if gradient.clip_norm != self._plan.clip_norm:
            raise InvalidPlan(
                f"clip_norm={gradient.clip_norm}: must be {self._plan.clip_norm}, as planned"
            )
        shapes = tuple(tuple(tensor.shape) for tensor in gradient.tensors)
        if shapes != self._shapes:
            raise InvalidPlan(f"{len(shapes)} gradient shapes: must match those announced")
        for total, tensor in zip(self._sums, gradient.tensors, strict=True):
            total.add_(tensor.to(total.device))

    def noisy_mean(self) -> list[torch.Tensor]:
        """(sum + noise) / normaliser, and start over at zero. An empty sample gives noise alone."""
        sums, self._sums = self._sums, self._zeros()
        return [self._with_noise(total) / self._plan.normaliser for total in sums]

    def _with_noise(self, total: torch.Tensor) -> torch.Tensor:
        if self._plan.noise_multiplier == 0:
            return total
        noise = torch.randn(total.shape, generator=self._generator, device=total.device)
        return total + noise * self._plan.noise_std

    def _zeros(self) -> list[torch.Tensor]:
        return [torch.zeros(shape, device=self._generator.device) for shape in self._shapes]
