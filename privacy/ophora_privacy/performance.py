"""How a round is computed, apart from what it promises.

Nothing here reaches the accountant, the ledger or the coordinator: whatever is set, the sum over
patients that `PrivacyPlan` describes is the same kind of sum at the same cost in epsilon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ophora_privacy.errors import InvalidPlan

GradientPath = Literal["auto", "vectorised", "one-by-one"]

_REFUSED = {
    "hooks": "checkpointed layers run twice and so do their hooks: rows are lost or doubled",
    "ghost": "its products of tokens by tokens take 2.35 GiB a matrix and clip at full length",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceSettings:
    """Settings of speed and variance that leave the guarantee alone.

    `path` is how the clips' gradients are made: many at once, one by one, or what suits the model
    and the memory. `micro_batch` bounds the clips, each draw of one counted, that share a pass in
    the vectorised path; None takes what fits. `draws_per_clip` is how many times and noises the
    loss of a clip is averaged over before the patient's one gradient is clipped: less variance, the
    same sensitivity.

    Raises InvalidPlan.
    """

    path: GradientPath = "auto"
    micro_batch: int | None = None
    draws_per_clip: int = 1

    def __post_init__(self) -> None:
        if self.path not in get_args(GradientPath):
            allowed = ", ".join(get_args(GradientPath))
            reason = f": {_REFUSED[self.path]}" if self.path in _REFUSED else ""
            raise InvalidPlan(f"path={self.path!r}: must be one of {allowed}{reason}")
        for name in ("micro_batch", "draws_per_clip"):
            value = getattr(self, name)
            if value is None and name == "micro_batch":
                continue
            if type(value) is not int or value < 1:
                raise InvalidPlan(f"{name}={value!r}: must be a whole number >= 1")
