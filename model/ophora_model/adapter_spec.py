"""What an adapter is, as data: rank, alpha, targets, seed of the frozen factors, what is stacked.

A stacked adapter is a second one on a first that stays as it is: one adapter of both ranks whose
first columns of B are frozen. A factor's rows are drawn one after the other, so the first rows of
the wider A are the first adapter's own A and the rest are new; alpha grows with the rank, so what
the first adapter does is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ophora_model.errors import AdapterMismatch
from ophora_model.presets import Preset
from ophora_model.strict import check_keys, check_number, check_whole

_MAX_RANK = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSpec:
    """Rank, alpha, targets (ends of module names) and the seed of the frozen A factors.

    The first `frozen_rank` columns of every B are not trained; 0 trains all of them.
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]
    seed: int
    frozen_rank: int = 0

    def __post_init__(self) -> None:
        check_whole("adapter.rank", self.rank, low=1, high=_MAX_RANK)
        check_number("adapter.alpha", self.alpha, low=0, high=4096, low_open=True)
        check_whole("adapter.seed", self.seed, low=0)
        check_whole("adapter.frozen_rank", self.frozen_rank, low=0, high=self.rank - 1)
        if not self.targets:
            raise AdapterMismatch("adapter.targets=(): name at least one module")

    @property
    def trained_rank(self) -> int:
        """How many columns of every B are trained."""
        return self.rank - self.frozen_rank

    @property
    def scale(self) -> float:
        """What the product B A is multiplied by."""
        return self.alpha / self.rank

    def stacked(self, rank: int) -> AdapterSpec:
        """With `rank` new columns to train on top of these, which are frozen.

        With zeros in the new columns it does what this one does.
        """
        check_whole("stack_rank", rank, low=1, high=_MAX_RANK - self.rank)
        wider = self.rank + rank
        return AdapterSpec(
            rank=wider,
            alpha=self.alpha * wider / self.rank,
            targets=self.targets,
            seed=self.seed,
            frozen_rank=self.rank,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `frozen_rank` only where something is stacked."""
        given = {**asdict(self), "targets": list(self.targets)}
        if not self.frozen_rank:
            del given["frozen_rank"]
        return given

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> AdapterSpec:
        """The reverse of `to_dict`; refuses unknown and missing keys."""
        filled = {"frozen_rank": 0, **given} if isinstance(given, Mapping) else given
        check_keys("adapter", filled, tuple(field.name for field in fields(cls)))
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
