"""Plain words for the closed words of the manifest, for whoever reads a page or report."""

from collections.abc import Mapping
from types import MappingProxyType

from ophora_curation.phases import PHASE_TITLES

TIER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "p2ft": "Visually clean",
        "tpt": "De-identified, harmless overlays",
        "quarantine": "Held for a person",
        "rejected": "Rejected",
    }
)
SCORE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "motion": "motion, % of width/s",
        "motion_peak": "fastest, % of width/s",
        "frozen_s": "longest freeze, s",
        "black": "share of dark frames",
        "blurred": "share of blurred frames",
        "sharpness": "sharpness, of the video's median",
        "field": "share of eye in the middle",
    }
)


def phase_title(phase: str | None) -> str:
    """The phase as people call it."""
    return PHASE_TITLES.get(phase, phase) if phase else "Phase not recognised"


def plain(word: str) -> str:
    """A closed word as text: `overlay-unread` is "overlay unread"."""
    return word.replace("-", " ").replace("_", " ")
