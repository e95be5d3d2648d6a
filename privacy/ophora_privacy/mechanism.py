"""Sample patients, clip each patient's gradient, sum, add noise once.

Data path: patient ids -> `sample_patients` -> (one gradient per patient, made by the caller) ->
`clip_gradient` or, for several patients at once, `clip_gradients` -> `PatientSum.add` ->
`PatientSum.noisy_mean` -> the optimizer. The sum accepts only what these two made, so that leaving
out the clipping is a type error, and adds noise only where it holds every patient drawn.

The noise is drawn by torch's generator, which is not a cryptographic one; seed it from the
operating system and keep the seed at the site.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ophora_privacy.errors import InvalidPlan, NonFiniteGradient, PatientsMiscounted
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedGradients:
    """The sum of several patients' gradients, each of L2 norm at most `clip_norm` before summing.

    Only `clip_gradients` makes it. One patient more or less moves `sums` by at most `clip_norm`.
    """

    sums: tuple[torch.Tensor, ...]
    clip_norm: float
    norms_before: tuple[float, ...]  # one a patient; still identifiable: must not leave the site
    made_by: object

    def __post_init__(self) -> None:
        if self.made_by is not _MADE_BY_CLIP:
            raise TypeError("ClippedGradients are made by clip_gradients() only")


def clip_gradient(grads: Sequence[torch.Tensor], clip_norm: float) -> ClippedGradient:
    """Scale one patient's gradient so that its L2 norm over all tensors is at most `clip_norm`.

    A zero gradient stays zero. Raises NonFiniteGradient on NaN or infinity: a NaN passes any
    comparison with the norm and would be added unclipped. Raises InvalidPlan on a bad `clip_norm`.
    """
    _check_clip_norm(clip_norm)
    tensors = [grad.detach().to(torch.float32) for grad in grads]
    norms, scales = _norms_and_scales([tensor.unsqueeze(0) for tensor in tensors], 1, clip_norm)
    return ClippedGradient(
        tensors=tuple(tensor * scales[0].to(tensor.device) for tensor in tensors),
        clip_norm=clip_norm,
        norm_before=norms[0],
        made_by=_MADE_BY_CLIP,
    )


def clip_gradients(rows: Sequence[torch.Tensor], clip_norm: float) -> ClippedGradients:
    """Clip several patients' gradients as `clip_gradient` does each, and sum them.

    `rows` are tensors [patients, *shape]; a patient's gradient is its row of all of them together.
    Raises as `clip_gradient` does, for the first patient that is not finite: nothing is summed.
    Raises InvalidPlan where the tensors differ in how many patients they hold.
    """
    _check_clip_norm(clip_norm)
    counts = {tensor.shape[0] if tensor.ndim else None for tensor in rows}
    if len(counts) != 1 or None in counts:
        raise InvalidPlan(f"{len(rows)} tensors of rows: must all hold the same patients, in order")
    tensors = [tensor.detach().to(torch.float32) for tensor in rows]
    norms, scales = _norms_and_scales(tensors, tensors[0].shape[0], clip_norm)
    return ClippedGradients(
        sums=tuple(_weighted_sum(tensor, scales.to(tensor.device)) for tensor in tensors),
        clip_norm=clip_norm,
        norms_before=norms,
        made_by=_MADE_BY_CLIP,
    )


def _norms_and_scales(
    rows: Sequence[torch.Tensor], num_rows: int, clip_norm: float
) -> tuple[tuple[float, ...], torch.Tensor]:
    """Each row's norm and the float32 factor that clips it. Raises NonFiniteGradient."""
    if not num_rows:
        return (), torch.zeros(0)
    # summed in float64: float32 is off by 1e-4 at thirty million numbers and overflows at 2^64
    pieces = [row for tensor in rows for row in tensor.unbind(0)]
    squares = torch.stack([n.cpu() for n in torch._foreach_norm(pieces, 2, torch.float64)])
    norms = torch.linalg.vector_norm(squares.view(len(rows), num_rows), dim=0)
    for norm in norms.tolist():
        if not norm < float("inf"):
            raise NonFiniteGradient(
                f"gradient norm={norm!r}: must be finite; lower the learning rate"
            )
    most = clip_norm * (1 - _ROUNDING_MARGIN)
    exact = torch.where(norms > most, most / norms, torch.ones_like(norms))
    scales = exact.float()
    # towards zero: below 2^-126 float32 keeps few digits and rounds up by more than the margin
    scales = torch.where(
        scales.double() > exact, torch.nextafter(scales, torch.zeros_like(scales)), scales
    )
    return tuple(norms.tolist()), scales


def _weighted_sum(rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Sum over rows times their weight, without a copy of the rows."""
    return torch.mv(rows.flatten(1).T, weights).view(rows.shape[1:])


def _check_clip_norm(clip_norm: float) -> None:
    if not 0 < clip_norm < float("inf"):
        raise InvalidPlan(f"clip_norm={clip_norm!r}: must be finite and > 0")


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
        self._start_over()

    def add(self, gradient: ClippedGradient | ClippedGradients) -> None:
        """Add one patient or several. Raises TypeError on anything that was not clipped here."""
        match gradient:
            case ClippedGradient(tensors=tensors):
                patients = 1
            case ClippedGradients(sums=tensors, norms_before=norms):
                patients = len(norms)
            case _:
                raise TypeError(f"{type(gradient).__name__}: clip it first with clip_gradient()")
        if gradient.clip_norm != self._plan.clip_norm:
            raise InvalidPlan(
                f"clip_norm={gradient.clip_norm}: must be {self._plan.clip_norm}, as planned"
            )
        shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        if shapes != self._shapes:
            raise InvalidPlan(f"{len(shapes)} gradient shapes: must match those announced")
        for total, tensor in zip(self._parts(self._sum), tensors, strict=True):
            total.add_(tensor.to(total.device))
        self._patients += patients

    def noisy_mean(self, *, drawn: int | None = None) -> list[torch.Tensor]:
        """(sum + noise) / normaliser, and start over at zero. An empty sample gives noise alone.

        `drawn` is how many patients the step has drawn. Raises PatientsMiscounted, before any noise
        is made, where the sum holds another number of them.
        """
        if drawn is not None and drawn != self._patients:
            raise PatientsMiscounted(
                f"gradients of {self._patients} patients for {drawn} drawn: must be one each;"
                " stop the round"
            )
        total = self._sum
        self._start_over()
        if self._plan.noise_multiplier:
            noise = torch.randn(total.shape, generator=self._generator, device=total.device)
            total.add_(noise, alpha=self._plan.noise_std)
        return self._parts(total.div_(self._plan.normaliser))

    def _parts(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """Views of the flat sum, in the announced shapes."""
        sizes = [math.prod(shape) for shape in self._shapes]
        pieces = flat.split(sizes)
        return [piece.view(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def _start_over(self) -> None:
        numbers = sum(math.prod(shape) for shape in self._shapes)
        self._sum = torch.zeros(numbers, device=self._generator.device)
        self._patients = 0
