"""Gradients by patient: of every patient drawn one row, exact at any length of the videos.

    places of each patient -> passes -> a loss for each place -> rows [patients, *shape of B]

A patient's gradient is that of the mean loss over the patient's places: clips, and several draws of
noise for each. Two paths give the same rows. One by one takes a place at a time and adds up: its
memory does not grow with patients, clips or draws. Vectorised takes several patients in one pass:
every layer gets as many copies of its B factor as there are patients, as a view that takes no
memory, and the gradient of a copy is a patient's row. Rows come from autograd itself, not from
hooks, so both paths hold under gradient checkpointing. Nothing in the denoiser mixes a batch.

Rows are as identifiable as the clips until `ophora_privacy.mechanism` has clipped and noised them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ophora_model.adapter import ADAPTER_NAME, Adapter
from ophora_model.base import Base
from ophora_model.errors import AdapterMismatch, BaseMissing
from ophora_model.training_draws import Place, losses_of
from ophora_privacy.performance import PerformanceSettings

# Tokens x width x blocks of a vectorised pass. Autograd keeps some 50 bytes of each of them without
# checkpointing: 3 GB.
_NUMBERS_A_PASS = 64_000_000

Places = Sequence[Place]  # of one patient


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientRows:
    """Gradients of some of a step's patients, [patients, *shape] for each factor, and mean losses.

    Unclipped, in the order of the patients: must not leave the site.
    """

    tensors: tuple[Tensor, ...]
    losses: tuple[float, ...]


class PatientGradients:
    """Per-patient gradients of one adapter on its base.

    Raises `BaseMissing` without a denoiser, and `AdapterMismatch` where the vectorised path is
    asked for and the adapter is on a layer that is not linear, whose rows may not be clips.
    """

    def __init__(self, base: Base, adapter: Adapter, settings: PerformanceSettings) -> None:
        if base.transformer is None:
            raise BaseMissing("base was loaded without part 'transformer': load it with that part")
        self._base, self._transformer, self._settings = base, base.transformer, settings
        self._factors = adapter.parameters()
        self._layers = [_up_layers(base.transformer, name) for name in adapter.shapes()]
        linear = all(isinstance(layers[ADAPTER_NAME], nn.Linear) for layers in self._layers)
        if settings.path == "vectorised" and not linear:
            raise AdapterMismatch(
                "performance.path='vectorised': every target must be a linear layer; use 'auto'"
            )
        self._path = settings.path if linear else "one-by-one"

    def rows(self, patients: Sequence[Places]) -> Iterator[PatientRows]:
        """The rows of all patients, in order, a few at a time; none for no patients.

        Not finite where a loss is not: the caller has to look at `losses`.
        """
        for group in self._passes(patients):
            if len(group) == 1:
                yield self._piecewise(group[0], self._most(group))
            else:
                yield self._at_once(group)

    def _piecewise(self, places: Places, most: int) -> PatientRows:
        """One patient, at most so many places at a time."""
        totals: list[Tensor] = []
        losses = []
        for first in range(0, len(places), most):
            loss = losses_of(self._base, places[first : first + most]).sum() / len(places)
            gradients = torch.autograd.grad(loss, self._factors)
            if totals:
                torch._foreach_add_(totals, gradients)
            else:
                totals = list(gradients)
            losses.append(loss.detach())
        return PatientRows(
            tensors=tuple(total.unsqueeze(0) for total in totals),
            losses=(float(torch.stack(losses).sum()),),
        )

    def _at_once(self, patients: Sequence[Places]) -> PatientRows:
        """Several patients in one pass."""
        counts = [len(places) for places in patients]
        copies = [
            factor.detach().expand(len(counts), *factor.shape).requires_grad_()
            for factor in self._factors
        ]
        with _swapped(self._layers, copies, counts):  # until backward, which may recompute
            losses = losses_of(self._base, [place for places in patients for place in places])
            means = torch.stack([part.mean() for part in losses.split(counts)])
            tensors = torch.autograd.grad(means.sum(), copies)
        return PatientRows(tensors=tensors, losses=tuple(means.tolist()))

    def _passes(self, patients: Sequence[Places]) -> Iterator[list[Places]]:
        """Whole patients, in order, as many as fit a pass; one alone may be too many places."""
        if not patients:
            return
        most = self._most(patients)
        group: list[Places] = []
        filled = 0
        for places in patients:
            if group and filled + len(places) > most:
                yield group
                group, filled = [], 0
            group.append(places)
            filled += len(places)
        yield group

    def _most(self, patients: Sequence[Places]) -> int:
        """How many places a pass may hold."""
        asked = self._settings.micro_batch
        if self._path == "one-by-one":
            return 1
        if self._path == "vectorised" and asked is not None:
            return asked
        fitting = max(1, _NUMBERS_A_PASS // self._numbers(patients[0][0]))
        if self._path == "vectorised":
            return max(fitting, *(len(places) for places in patients))
        return fitting if asked is None else min(fitting, asked)

    def _numbers(self, place: Place) -> int:
        """Tokens x width x blocks."""
        config: Any = self._transformer.config
        frames, _, height, width = place.clean_TCHW.shape
        tokens = frames * height * width // int(config.patch_size) ** 2 + place.prompt_LD.shape[0]
        across = int(config.num_attention_heads) * int(config.attention_head_dim)
        return tokens * across * int(config.num_layers)


class _ByPatient(nn.Module):
    """Stands in for a layer's B factor: the same product, with a gradient for each patient."""

    def __init__(self, copies: Tensor, counts: Sequence[int]) -> None:
        super().__init__()
        self._copies = copies  # not a parameter: [patients, out, rank], one storage
        self._counts = counts

    def forward(self, inputs: Tensor) -> Tensor:
        """[places, ..., rank] to [places, ..., out]."""
        if inputs.shape[0] != sum(self._counts):
            raise AdapterMismatch(
                f"a tuned layer has {inputs.shape[0]} rows for {sum(self._counts)} places: rows"
                " must be clips; use performance.path='one-by-one'"
            )
        output: Tensor = _SharedProduct.apply(inputs, self._copies, self._counts)  # type: ignore[no-untyped-call]
        return output


class _SharedProduct(torch.autograd.Function):
    """inputs @ B.T with B the copy of any patient: they are equal. Backward keeps them apart."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, copies: Tensor, counts: Sequence[int]) -> Tensor:
        ctx.save_for_backward(inputs, copies)
        ctx.counts = counts
        return nn.functional.linear(inputs, copies[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, Tensor, None]:
        inputs, copies = ctx.saved_tensors
        below = outer @ copies[0].to(outer.dtype) if ctx.needs_input_grad[0] else None
        rows = outer.new_empty(copies.shape)
        bounds = pairwise(accumulate(ctx.counts, initial=0))
        for row, (first, end) in zip(rows, bounds, strict=True):
            left, right = outer[first:end].flatten(0, -2), inputs[first:end].flatten(0, -2)
            torch.mm(left.T, right.to(outer.dtype), out=row)
        return (
            None if below is None else below.to(inputs.dtype),
            rows.to(copies.dtype),
            None,
        )


@contextmanager
def _swapped(
    layers: Sequence[nn.ModuleDict], copies: Sequence[Tensor], counts: Sequence[int]
) -> Iterator[None]:
    """The B factors stand-ins while the body runs; themselves again after it, also if it raises."""
    kept = [layer[ADAPTER_NAME] for layer in layers]
    try:
        for layer, copy in zip(layers, copies, strict=True):
            layer[ADAPTER_NAME] = _ByPatient(copy, counts)
        yield
    finally:
        for layer, own in zip(layers, kept, strict=True):
            layer[ADAPTER_NAME] = own


def _up_layers(transformer: nn.Module, name: str) -> nn.ModuleDict:
    layers = transformer.get_submodule(f"{name}.lora_B")
    assert isinstance(layers, nn.ModuleDict)
    return layers
