"""Base layouts: what an adapter has to fit, known without loading the base's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ophora_model.errors import AdapterMismatch, BaseMissing
from ophora_model.presets import Preset

if TYPE_CHECKING:
    from torch import nn

    from ophora_model.base import Base

Layers = Mapping[str, tuple[int, int]]  # module name to (out, in) of a linear layer


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseLayout:
    """What a file has to fit: preset, hash of the base's weights, and its linear layers."""

    preset: str
    fingerprint: str
    layers: Layers

    @classmethod
    def of_preset(cls, preset: Preset, folder: Path | None = None) -> BaseLayout:
        """Without loading weights. Raises `BaseMissing`."""
        from ophora_model.base import base_fingerprint, empty_transformer

        layers = linear_layers(empty_transformer(preset, folder))
        found = base_fingerprint(preset, folder)
        return cls(preset=preset.name, fingerprint=found, layers=layers)

    @classmethod
    def of_base(cls, base: Base) -> BaseLayout:
        """Of a loaded base to which nothing is attached yet."""
        if base.transformer is None:
            raise BaseMissing("base was loaded without part 'transformer': load it with that part")
        if getattr(base.transformer, "peft_config", None):
            raise AdapterMismatch("base has an adapter already: load the base again")
        layers = linear_layers(base.transformer)
        return cls(preset=base.preset.name, fingerprint=base.fingerprint, layers=layers)


def linear_layers(transformer: nn.Module) -> dict[str, tuple[int, int]]:
    """Every linear layer of a transformer (also on the meta device), by module name.

    Under an adapter that is attached, or was, they are the base's own under their own names.
    """
    from torch import nn

    return {
        name.removesuffix(".base_layer"): (int(module.out_features), int(module.in_features))
        for name, module in sorted(transformer.named_modules())
        if isinstance(module, nn.Linear) and ".lora_" not in name
    }


def targeted_layers(layers: Layers, targets: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Those whose names end in a target. Raises `AdapterMismatch` for a target without a layer."""
    for target in targets:
        if not any(_is_target(name, target) for name in layers):
            raise AdapterMismatch(
                f"adapter.targets={target!r}: no linear layer of this base ends so;"
                " use the preset's own targets, or the base that the adapter was tuned on"
            )
    return {
        name: layers[name] for name in layers if any(_is_target(name, each) for each in targets)
    }


def _is_target(name: str, target: str) -> bool:
    return f".{name}".endswith(f".{target}")
