"""How the coordinator moves the adapter by what comes out of a round (Reddi et al. 2021).

    mean of the updates -> taken as minus a gradient -> momentum or Adam over the rounds -> the move

All of it is made of what the round gives anyway, so it costs no privacy. The state lasts for one
stage and is part of the round's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from ophora_model.strict import check_choice, check_keys, check_number
from ophora_model.update import Tensors
from ophora_server.registry.adapter_blob import AdapterBlob

OPTIMIZERS = ("none", "momentum", "adam")
_STEPS, _FIRST, _SECOND = "steps/", "first/", "second/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptimizerSettings:
    """`[server_optimizer]`: "none" adds the mean as it is (FedAvg).

    "momentum" (FedAvgM) and "adam" (FedAdam, with Adam's correction for its first steps) scale
    their move by `learning_rate`; `tau` bounds how far "adam" stretches what is small.
    """

    kind: str = "none"
    learning_rate: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.99
    tau: float = 1e-3

    def __post_init__(self) -> None:
        check_choice("server_optimizer.kind", self.kind, OPTIMIZERS)
        check_number("server_optimizer.learning_rate", self.learning_rate, low=0, low_open=True)
        check_number("server_optimizer.beta1", self.beta1, low=0, high=0.9999)
        check_number("server_optimizer.beta2", self.beta2, low=0, high=0.99999)
        check_number("server_optimizer.tau", self.tau, low=0, low_open=True)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Strict; what is left out has its default."""
        filled = {**asdict(cls()), **given} if isinstance(given, Mapping) else given
        check_keys("server_optimizer", filled, tuple(field.name for field in fields(cls)))
        return cls(**given)


class ServerOptimizer:
    """One stage's optimizer, gone on with from the `state` of the round before; None starts it.

    So does the state of another kind, whose moments mean something else. Raises `PlanInvalid` on a
    state that is not safetensors.
    """

    def __init__(self, settings: ServerOptimizerSettings, state: bytes | None = None) -> None:
        self._settings = settings
        held = AdapterBlob.read(state).tensors() if state is not None else {}
        self._counter = _STEPS + settings.kind
        if self._counter not in held:
            held = {}
        self._steps = float(held[self._counter][0]) if held else 0.0
        self._first = _under(held, _FIRST)
        self._second = _under(held, _SECOND)

    def step(self, mean: Tensors) -> Tensors:
        """The move for this mean, float32, under the same names."""
        settings = self._settings
        if settings.kind == "none":
            return mean
        self._steps += 1
        return {name: self._moved(name, value) for name, value in mean.items()}

    def _moved(self, name: str, mean: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        settings = self._settings
        before = self._first.get(name, np.zeros_like(mean))
        if settings.kind == "momentum":
            first = self._first[name] = settings.beta1 * before + mean
            return np.asarray(settings.learning_rate * first, np.float32)
        first = settings.beta1 * before + (1 - settings.beta1) * mean
        squares = self._second.get(name, np.zeros_like(mean))
        second = settings.beta2 * squares + (1 - settings.beta2) * mean**2
        self._first[name], self._second[name] = first, second
        unbiased = first / (1 - settings.beta1**self._steps)
        scale = np.sqrt(second / (1 - settings.beta2**self._steps)) + settings.tau
        return np.asarray(settings.learning_rate * unbiased / scale, np.float32)

    def state(self) -> bytes | None:
        """What the next round goes on from; None where there is nothing to keep."""
        if self._settings.kind == "none":
            return None
        held: Tensors = {
            self._counter: np.array([self._steps], np.float32),
            **{_FIRST + name: value for name, value in self._first.items()},
            **{_SECOND + name: value for name, value in self._second.items()},
        }
        return AdapterBlob.of(held).payload


def _under(held: Tensors, prefix: str) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): value for name, value in held.items() if name.startswith(prefix)
    }
