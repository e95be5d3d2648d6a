"""How a round is computed, apart from what it promises.

Nothing here reaches the accountant, the ledger or the coordinator: whatever is set, the sum over
patients that `PrivacyPlan` describes is the same kind of sum at the same cost in epsilon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ophora_privacy.errors import InvalidPlan

GradientPath = Literal["auto", "vectorised", "one-by-one"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceSettings:
    """Settings of speed and variance that leave the guarantee alone.

    `path` is how the clips' gradients are made: many at once, one by one, or what suits the model
    and the memory. `micro_batch` is the number of clips at a time in the vectorised path; None
    takes all of a patient. `draws_per_clip` is how many times and noises the loss of a clip is
    averaged over before the patient's one gradient is clipped: less variance, the same sensitivity.

    Raises InvalidPlan.
    """

    path: GradientPath = "auto"
    micro_batch: int | None = None
    draws_per_clip: int = 1

    def __post_init__(self) -> None:
        if self.path not in get_args(GradientPath):
            allowed = ", ".join(get_args(GradientPath))
            raise InvalidPlan(f"path={self.path!r}: must be one of {allowed}")
        for name in ("micro_batch", "draws_per_clip"):
            value = getattr(self, name)
            if value is None and name == "micro_batch":
                continue
            if type(value) is not int or value < 1:
                raise InvalidPlan(f"{name}={value!r}: must be a whole number >= 1")
