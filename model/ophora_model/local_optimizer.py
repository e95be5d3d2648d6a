"""The optimizer of a site's steps, as the round plan names it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ophora_model.round_plan import TuningPlan


def local_optimizer(parameters: Sequence[nn.Parameter], plan: TuningPlan) -> torch.optim.Optimizer:
    """A fresh one over these parameters."""
    if plan.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay)
    return torch.optim.AdamW(
        parameters,
        lr=plan.learning_rate,
        betas=(plan.beta1, plan.beta2),
        weight_decay=plan.weight_decay,
    )
