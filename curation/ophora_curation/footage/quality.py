"""Whether a clip's picture is worth training on: lit, sharp, moving, calm and inside the eye.

The paper's dynamics filter removes clips with extreme temporal dynamics; the measures here also
catch what a recorder does wrong (freeze, black, blur) and a camera that has left the eye.
"""

from dataclasses import dataclass

import numpy as np

from ophora_curation.footage.observation import Observation
from ophora_curation.footage.spans import ClipSpan
from ophora_curation.settings import CurationSettings

_BLACK_LUMA = 20.0
_FLAT_SPREAD = 10.0
_MAX_BAD_SHARE = 0.15  # of a clip's frames
_MIN_FIELD = 0.15  # eyes had 0.26 and more, rooms 0.06 and less


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Measures of one clip and the reasons it is refused for; none when it is fine."""

    scores: dict[str, float]
    reasons: tuple[str, ...]


def judge(span: ClipSpan, seen: Observation, settings: CurationSettings, fps: float) -> Quality:
    """Measure one span."""
    part = slice(span.first, span.last + 1)
    dark = (seen.luma[part] < _BLACK_LUMA) | (seen.spread[part] < _FLAT_SPREAD)
    fresh = seen.motion[part][~seen.repeated[part]]
    usual = float(np.median(seen.sharpness)) or 1.0
    scores = {
        "black": float(dark.mean()),
        "frozen_s": _longest_run(seen.repeated[part]) / fps,
        "motion": float(np.median(fresh)) if fresh.size else 0.0,
        "motion_peak": float(np.percentile(fresh, 95)) if fresh.size else 0.0,
        "blurred": float((seen.sharpness[part] < settings.min_sharpness * usual).mean()),
        "field": float(np.median(seen.field[part])),
    }
    found = {
        "black": scores["black"] > _MAX_BAD_SHARE,
        "frozen": scores["frozen_s"] > settings.max_frozen_s,
        "static": scores["motion"] < settings.min_motion,
        "violent": scores["motion"] > settings.max_motion,
        "blurred": scores["blurred"] > _MAX_BAD_SHARE,
        "out-of-field": scores["field"] < _MIN_FIELD,
    }
    return Quality(
        scores={name: round(score, 4) for name, score in scores.items()},
        reasons=tuple(name for name, bad in found.items() if bad),
    )


def _longest_run(flags: np.typing.NDArray[np.bool_]) -> int:
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest
