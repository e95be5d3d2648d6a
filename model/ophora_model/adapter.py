"""The adapter: FFA-LoRA on the frozen base, so that averaging over sites is exact.

Every targeted linear layer W gets W + (alpha / rank) B A. A is drawn from a seed that the plan
announces, is the same at every site and never trained; B starts at zero and is all that is trained,
sent and averaged. Averaging A and B separately would be wrong; the mean of B is exact because the
product is linear in B (FFA-LoRA, arXiv 2403.12313). The layers themselves are peft's; a stacked
adapter (adapter_spec.py) is two of them, both active, of which the first is frozen.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.base_layout import linear_layers, targeted_layers
from ophora_model.update import Shapes, Tensors, check_tensors

if TYPE_CHECKING:
    from diffusers import CogVideoXTransformer3DModel

ADAPTER_NAME = "ophora"  # what is trained
FROZEN_NAME = "ophora_frozen"  # what that is stacked on


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Some columns of every B and the rows of A that go with them, by module name."""

    up: dict[str, nn.Parameter]
    down: dict[str, nn.Parameter]


class Adapter:
    """The B factors of one transformer, by module name. Made by `attach_adapter`.

    `shapes`, `read` and `write` are of all columns of every B, frozen ones first; `parameters` are
    the columns that are trained.
    """

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts  # the last one is trained

    def parameters(self) -> list[nn.Parameter]:
        """What is trained: columns of the B factors in the order of `shapes`."""
        return list(self._parts[-1].up.values())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to shape of every B factor, sorted by name."""
        rank = sum(next(iter(part.up.values())).shape[1] for part in self._parts)
        return {name: (factor.shape[0], rank) for name, factor in self._parts[-1].up.items()}

    def read(self) -> dict[str, NDArray[np.float32]]:
        """A copy of the B factors, float32 on the CPU."""
        return _joined([part.up for part in self._parts], axis=1)

    def read_frozen(self) -> dict[str, NDArray[np.float32]]:
        """A copy of the frozen A factors under the same names."""
        return _joined([part.down for part in self._parts], axis=0)

    def write(self, tensors: Tensors) -> None:
        """Replaces the B factors, or raises `AdapterMismatch` and changes nothing."""
        check_tensors(tensors, self.shapes())
        _write([part.up for part in self._parts], tensors, axis=1)

    def write_trained(self, tensors: Tensors) -> None:
        """Replaces the columns that are trained, as `write` does."""
        trained = self._parts[-1].up
        check_tensors(tensors, {name: tuple(factor.shape) for name, factor in trained.items()})
        _write([trained], tensors, axis=1)

    def write_frozen(self, tensors: Tensors) -> None:
        """Replaces the A factors, which a merge over seeds brings with it, as `write` does."""
        check_tensors(tensors, {name: value.shape for name, value in self.read_frozen().items()})
        _write([part.down for part in self._parts], tensors, axis=0)


def attach_adapter(transformer: CogVideoXTransformer3DModel, spec: AdapterSpec) -> Adapter:
    """Adds the adapter to the transformer in place and freezes all else. B is zero: no effect yet.

    What an earlier, stacked adapter left is removed. Raises `AdapterMismatch` where a target
    matches no linear layer, and changes nothing then.
    """
    names = sorted(targeted_layers(linear_layers(transformer), spec.targets))
    if FROZEN_NAME in getattr(transformer, "peft_config", {}):
        transformer.delete_adapters(FROZEN_NAME)
    transformer.requires_grad_(False)
    parts = []
    if spec.frozen_rank:
        parts.append(_add_part(transformer, spec, FROZEN_NAME, names, 0, spec.frozen_rank))
    parts.append(_add_part(transformer, spec, ADAPTER_NAME, names, spec.frozen_rank, spec.rank))
    if spec.frozen_rank:
        transformer.set_adapter([FROZEN_NAME, ADAPTER_NAME])  # makes all four factors trainable
    for part in parts:
        for factor in (*part.up.values(), *part.down.values()):
            factor.requires_grad_(False)
    for factor in parts[-1].up.values():
        factor.requires_grad_(True)
    return Adapter(parts)


def _add_part(
    transformer: CogVideoXTransformer3DModel,
    spec: AdapterSpec,
    adapter_name: str,
    names: Sequence[str],
    first: int,
    end: int,
) -> _Part:
    """Columns `first` to `end` of every B, zero, under the name that peft gets."""
    from peft import LoraConfig

    config = LoraConfig(
        r=end - first,
        lora_alpha=spec.scale * (end - first),
        target_modules=_target_pattern(spec.targets),
        init_lora_weights=True,
    )
    with warnings.catch_warnings():  # several adapters on one base are meant here
        warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
        transformer.add_adapter(config, adapter_name=adapter_name)
    ups, downs = {}, {}
    for name in names:
        module = transformer.get_submodule(name)
        down = module.get_parameter(f"lora_A.{adapter_name}.weight")
        up = module.get_parameter(f"lora_B.{adapter_name}.weight")
        rows = frozen_factor(spec, name, int(down.shape[1]))[first:end]
        down.data = torch.from_numpy(rows).to(down.device)
        up.data = torch.zeros_like(up, dtype=torch.float32)
        ups[name], downs[name] = up, down
    return _Part(up=ups, down=downs)


def adapter_shapes(transformer: nn.Module, spec: AdapterSpec) -> dict[str, tuple[int, ...]]:
    """What `Adapter.shapes` would be, from the module tree alone (also on the meta device)."""
    layers = targeted_layers(linear_layers(transformer), spec.targets)
    return {name: (out, spec.rank) for name, (out, _) in layers.items()}


def frozen_factor(spec: AdapterSpec, name: str, width: int) -> NDArray[np.float32]:
    """The A factor [rank, width] of a layer: uniform in +-1/sqrt(width), by seed and name alone."""
    digest = hashlib.sha256(f"{spec.seed}/{name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    bound = 1 / math.sqrt(width)
    return rng.uniform(-bound, bound, (spec.rank, width)).astype(np.float32)


def shapes_hash(shapes: Shapes) -> str:
    """Identity of a set of names and shapes."""
    text = ";".join(f"{name}:{'x'.join(map(str, shapes[name]))}" for name in sorted(shapes))
    return hashlib.sha256(text.encode()).hexdigest()


def _target_pattern(targets: tuple[str, ...]) -> str:
    ends = "|".join(target.replace(".", r"\.") for target in targets)
    return rf"^(.*\.)?({ends})$"


def _joined(
    parts: Sequence[dict[str, nn.Parameter]], *, axis: int
) -> dict[str, NDArray[np.float32]]:
    return {
        name: np.concatenate(
            [part[name].detach().float().cpu().numpy() for part in parts], axis=axis
        )
        for name in parts[0]
    }


@torch.no_grad()
def _write(parts: Sequence[dict[str, nn.Parameter]], tensors: Tensors, *, axis: int) -> None:
    for name in parts[0]:
        factors = [part[name] for part in parts]
        whole = torch.from_numpy(tensors[name])
        pieces = whole.split([factor.shape[axis] for factor in factors], dim=axis)
        for factor, piece in zip(factors, pieces, strict=True):
            factor.copy_(piece)
