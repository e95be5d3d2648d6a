"""Processes: those that share one training run, a part of every batch each.

Only the adapter is trained, so its gradients are all that is exchanged: one sum a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Parameter

from ophora_model.errors import PlanInvalid

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """What a run asks of them, as one of them; without an accelerator it is the only one."""

    accelerator: Accelerator | None

    @property
    def rank(self) -> int:
        """This process' number, from 0."""
        return 0 if self.accelerator is None else self.accelerator.process_index

    @property
    def count(self) -> int:
        """How many there are."""
        return 1 if self.accelerator is None else self.accelerator.num_processes

    def share(self, batch_size: int) -> range:
        """This process' places of a batch of all. Raises `PlanInvalid` where shares are unequal."""
        if batch_size % self.count:
            raise PlanInvalid(
                f"batch_size={batch_size}: must be a multiple of the {self.count} processes"
            )
        return range(self.rank, batch_size, self.count)

    def stepper(self, optimizer: torch.optim.Optimizer) -> Any:
        """The optimizer, with accelerate's scaling where that is on."""
        return optimizer if self.accelerator is None else self.accelerator.prepare(optimizer)

    def backward(self, loss: Tensor) -> None:
        """Adds the loss' gradients to the parameters', of this process alone."""
        if self.accelerator is None:
            loss.backward()
        else:
            self.accelerator.backward(loss)

    def mean(self, loss: Tensor, parameters: Sequence[Parameter]) -> float:
        """The mean loss of all; every parameter's gradient becomes the mean as well."""
        if self.accelerator is None or self.count == 1:
            return float(loss)
        gradients = [_gradient(parameter).flatten() for parameter in parameters]
        flat = self.accelerator.reduce(torch.cat([loss.view(1), *gradients]), reduction="mean")
        parts = flat[1:].split([parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        return float(flat[0])

    def clip(self, stepper: Any, parameters: Sequence[Parameter], most: float) -> float:
        """Brings the gradients' norm down to `most`, accelerate's scale undone; what it was."""
        if self.accelerator is not None:
            self.accelerator.unscale_gradients(stepper)
        return float(torch.nn.utils.clip_grad_norm_(parameters, most))


def _gradient(parameter: Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
