"""The adapter: FFA-LoRA on the frozen base, so that averaging over sites is exact.

Every targeted linear layer W gets W + (alpha / rank) B A. A is drawn from a seed that the plan
announces, is the same at every site and never trained; B starts at zero and is all that is trained,
sent and averaged. Averaging A and B separately would be wrong; the mean of B is exact because the
product is linear in B (FFA-LoRA, arXiv 2403.12313). The layers themselves are peft's.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ophora_model.adapter_spec import AdapterSpec
from ophora_model.errors import AdapterMismatch
from ophora_model.update import Shapes, Tensors, check_tensors

if TYPE_CHECKING:
    from diffusers import CogVideoXTransformer3DModel

ADAPTER_NAME = "ophora"


class Adapter:
    """The trainable B factors of one transformer, by module name. Made by `attach_adapter`."""

    def __init__(self, factors: dict[str, nn.Parameter], frozen: dict[str, nn.Parameter]) -> None:
        self._factors = factors
        self._frozen = frozen

    def parameters(self) -> list[nn.Parameter]:
        """What is trained: the B factors in the order of `shapes`."""
        return list(self._factors.values())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to shape of every trained tensor, sorted by name."""
        return {name: tuple(factor.shape) for name, factor in self._factors.items()}

    def read(self) -> dict[str, NDArray[np.float32]]:
        """A copy of the trained tensors, float32 on the CPU."""
        return {
            name: factor.detach().float().cpu().numpy().copy()
            for name, factor in self._factors.items()
        }

    def read_frozen(self) -> dict[str, NDArray[np.float32]]:
        """A copy of the frozen A factors under the same names."""
        return {
            name: factor.detach().float().cpu().numpy().copy()
            for name, factor in self._frozen.items()
        }

    def write(self, tensors: Tensors) -> None:
        """Replaces the trained tensors, or raises `AdapterMismatch` and changes nothing."""
        check_tensors(tensors, self.shapes())
        with torch.no_grad():
            for name, factor in self._factors.items():
                factor.copy_(torch.from_numpy(tensors[name]))


def attach_adapter(transformer: CogVideoXTransformer3DModel, spec: AdapterSpec) -> Adapter:
    """Adds the adapter to the transformer in place and freezes all else. B is zero: no effect yet.

    Raises `AdapterMismatch` where a target matches no linear layer.
    """
    from peft import LoraConfig

    transformer.requires_grad_(False)
    transformer.add_adapter(
        LoraConfig(
            r=spec.rank,
            lora_alpha=spec.alpha,
            target_modules=_target_pattern(spec.targets),
            init_lora_weights=True,
        ),
        adapter_name=ADAPTER_NAME,
    )
    factors: dict[str, nn.Parameter] = {}
    frozen: dict[str, nn.Parameter] = {}
    for module_name, module in sorted(transformer.named_modules()):
        pair = getattr(module, "lora_A", None)
        if not isinstance(pair, nn.ModuleDict) or ADAPTER_NAME not in pair:
            continue
        down = module.get_parameter(f"lora_A.{ADAPTER_NAME}.weight")
        up = module.get_parameter(f"lora_B.{ADAPTER_NAME}.weight")
        factor = torch.from_numpy(frozen_factor(spec, module_name, int(down.shape[1])))
        down.data = factor.to(down.device)
        down.requires_grad_(False)
        up.data = torch.zeros_like(up, dtype=torch.float32)
        up.requires_grad_(True)
        factors[module_name], frozen[module_name] = up, down
    _check_targets(spec, factors)
    return Adapter(factors, frozen)


def adapter_shapes(transformer: nn.Module, spec: AdapterSpec) -> dict[str, tuple[int, ...]]:
    """What `Adapter.shapes` would be, from the module tree alone (also on the meta device)."""
    found: dict[str, tuple[int, ...]] = {
        name: (int(module.out_features), spec.rank)
        for name, module in sorted(transformer.named_modules())
        if isinstance(module, nn.Linear) and _is_target(name, spec.targets)
    }
    _check_targets(spec, found)
    return found


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


def _is_target(name: str, targets: tuple[str, ...]) -> bool:
    return any(name == target or name.endswith("." + target) for target in targets)


def _target_pattern(targets: tuple[str, ...]) -> str:
    ends = "|".join(target.replace(".", r"\.") for target in targets)
    return rf"^(.*\.)?({ends})$"


def _check_targets(spec: AdapterSpec, found: Mapping[str, object]) -> None:
    for target in spec.targets:
        if not any(_is_target(name, (target,)) for name in found):
            raise AdapterMismatch(
                f"adapter.targets={target!r}: no linear layer of this base ends so;"
                " use the preset's own targets"
            )
