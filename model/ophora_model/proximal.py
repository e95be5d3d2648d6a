"""FedProx's term: the gradient of half `strength` times the squared distance to where one began."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Proximal:
    """Remembers the parameters as they are now; 0 remembers and adds nothing."""

    def __init__(self, parameters: Sequence[nn.Parameter], strength: float) -> None:
        self._parameters, self._strength = parameters, strength
        self._start = [each.detach().clone() for each in parameters] if strength else []

    @torch.no_grad()
    def add(self) -> None:
        """Add it to the gradients, which must be there."""
        for parameter, start in zip(self._parameters, self._start, strict=bool(self._start)):
            assert parameter.grad is not None
            parameter.grad.add_(parameter - start, alpha=self._strength)
