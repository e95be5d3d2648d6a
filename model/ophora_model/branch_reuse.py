"""Branch reuse: guidance's branch without the prompt, computed in some steps only.

This is FasterCache (arXiv 2410.19355) where both of its frequency bands decay alike. diffusers'
hook takes a Fourier transform in every step to weigh the bands; with equal weights the difference
of the branches can be carried as it is, which costs a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from diffusers import CogVideoXTransformer3DModel
    from torch import Tensor

_OF_BOTH = ("hidden_states", "encoder_hidden_states", "timestep")  # without the prompt, with it


@contextmanager
def reusing_branch(
    transformer: CogVideoXTransformer3DModel,
    *,
    every: int,
    below: int,
    decay: float,
    timestep: Callable[[], Any],
) -> Iterator[None]:
    """The pipeline's calls inside compute both branches every `every` calls and above `below`.

    In between the branch without the prompt is the one with it plus their last difference, times
    `decay` at each call. The difference is of one call's video and is gone afterwards.
    """
    transformer.forward = _Reusing(transformer.forward, every, below, decay, timestep)
    try:
        yield
    finally:
        del transformer.forward


class _Reusing:
    def __init__(
        self,
        forward: Callable[..., tuple[Tensor]],
        every: int,
        below: int,
        decay: float,
        timestep: Callable[[], Any],
    ) -> None:
        self._forward, self._every, self._below = forward, every, below
        self._decay, self._timestep = decay, timestep
        self._calls = 0
        self._difference: Tensor | None = None

    def __call__(self, **given: Any) -> tuple[Tensor]:
        number, self._calls = self._calls, self._calls + 1
        if number % self._every == 0 or not int(self._timestep()) < self._below:
            (both,) = self._forward(**given)
            without, prompted = both.float().chunk(2)
            self._difference = without - prompted
            return (both,)
        assert self._difference is not None  # call 0 computed both
        halves = {name: given[name].chunk(2)[1] for name in _OF_BOTH}
        (prompted,) = self._forward(**{**given, **halves})
        self._difference = self._difference * self._decay
        without = (prompted.float() + self._difference).to(prompted.dtype)
        return (torch.cat([without, prompted]),)
