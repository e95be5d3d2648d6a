"""Whether a clip is worth keeping: enough movement but not too much, nothing wrong, an eye in it.

Scores are kept for every clip, so that thresholds can be chosen from a site's own recordings. A
microscope's view is nearly still, so movement is judged by the faster parts of the picture and
separately from what is plainly wrong (freeze, black, blur, damage) and a camera that has left the
eye.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ophora_curation.footage.observation import Observation
from ophora_curation.footage.spans import ClipSpan
from ophora_curation.settings import CurationSettings

_PEAK = 95  # percentile of motion within a clip


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """Measures of one clip and the reasons it is refused for; none when it is fine."""

    scores: dict[str, float]
    reasons: tuple[str, ...]


def judge(span: ClipSpan, seen: Observation, settings: CurationSettings) -> Quality:
    """Measure one span against the site's thresholds."""
    part = slice(span.first, span.last + 1)
    scores = _measure(span, seen, settings)
    found = {
        "black": scores["black"] > settings.max_bad_share,
        "frozen": scores["frozen_s"] > settings.max_frozen_s,
        "static": scores["motion"] < settings.min_motion,
        "violent": scores["motion"] > settings.max_motion,
        "blurred": scores["blurred"] > settings.max_bad_share,
        "out-of-field": scores["field"] < settings.min_field,
        "damaged": bool(seen.damaged[part].any()),
    }
    return Quality(
        scores={name: round(score, 4) for name, score in scores.items()},
        reasons=tuple(name for name, bad in found.items() if bad),
    )


def _measure(span: ClipSpan, seen: Observation, settings: CurationSettings) -> dict[str, float]:
    part = slice(span.first, span.last + 1)
    luma, spread = seen.luma[part], seen.spread[part]
    dark = (luma < settings.black_luma) | (spread < settings.min_spread)
    fresh = seen.motion[part][~seen.repeated[part]]
    usual = float(np.median(seen.sharpness)) or 1.0
    return {
        "black": float(dark.mean()),
        "frozen_s": _longest_hold_s(seen.repeated[part], seen.times_s[part], span.end_s),
        "motion": float(np.median(fresh)) if fresh.size else 0.0,
        "motion_peak": float(np.percentile(fresh, _PEAK)) if fresh.size else 0.0,
        "blurred": float((seen.sharpness[part] < settings.min_sharpness * usual).mean()),
        "field": float(np.median(seen.field[part])),
        "damaged": float(seen.damaged[part].mean()),
        "repeated": float(seen.repeated[part].mean()),
        "luma": float(luma.mean()),
        "spread": float(spread.mean()),
        "sharpness": float(np.median(seen.sharpness[part])),
    }


def _longest_hold_s(
    repeated: npt.NDArray[np.bool_], times_s: npt.NDArray[np.float64], end_s: float
) -> float:
    """Longest time that one picture is shown beyond its own frame, in seconds."""
    fresh = np.flatnonzero(~repeated)
    if not fresh.size:
        return end_s - float(times_s[0])
    shown = np.append(times_s[fresh], end_s)
    starts = np.append(shown[0] - times_s[0], np.diff(shown))  # before the first fresh frame, too
    one_frame_s = float(np.median(np.diff(times_s))) if times_s.size > 1 else 0.0
    return max(0.0, float(starts.max()) - one_frame_s)
