"""What an adapter is, as data: rank, alpha, targets and the seed of its frozen factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ophora_model.errors import AdapterMismatch
from ophora_model.presets import Preset
from ophora_model.strict import check_keys, check_number, check_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec:
    """Rank, alpha, targets (ends of module names) and the seed of the frozen A factors."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        check_whole("adapter.rank", self.rank, low=1, high=1024)
        check_number("adapter.alpha", self.alpha, low=0, high=4096, low_open=True)
        check_whole("adapter.seed", self.seed, low=0)
        if not self.targets:
            raise AdapterMismatch("adapter.targets=(): name at least one module")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "targets": list(self.targets)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> AdapterSpec:
        """The reverse of `to_dict`; refuses unknown and missing keys."""
        check_keys("adapter", given, ("rank", "alpha", "targets", "seed"))
        targets = given["targets"]
        if not isinstance(targets, list) or not all(isinstance(each, str) for each in targets):
            raise AdapterMismatch(f"adapter.targets={targets!r}: must be a list of module names")
        return cls(**{**given, "targets": tuple(given["targets"])})

    @classmethod
    def of_preset(cls, preset: Preset, *, seed: int) -> AdapterSpec:
        """The preset's default rank, alpha and targets."""
        return cls(
            rank=preset.lora_rank,
            alpha=preset.lora_alpha,
            targets=preset.lora_targets,
            seed=seed,
        )
