"""One reason for everything that can be wrong with a clip."""

from typing import Any

import numpy as np
import pytest

from ophora_curation.footage.observation import Observation
from ophora_curation.footage.quality import judge
from ophora_curation.footage.spans import ClipSpan
from ophora_curation.settings import CurationSettings

FRAMES = 80


def seen(**changes: Any) -> Observation:
    """A good recording of 20 s at 8 fps; a change covers frames 40 to 79."""
    good = {"luma": 120, "spread": 50, "sharpness": 100, "motion": 5, "repeated": 0, "field": 0.6}
    arrays: dict[str, Any] = {}
    for name, value in {**good, "damaged": 0}.items():
        kind = np.bool_ if name in ("repeated", "damaged") else np.float32
        arrays[name] = np.full(2 * FRAMES, value, kind)
        if name in changes:
            arrays[name][40:80] = changes[name]
    return Observation(times_s=np.arange(2 * FRAMES) / 8, **arrays)


def span(first: int = 38, last: int = 81) -> ClipSpan:
    return ClipSpan(first=first, last=last, start_s=first / 8, end_s=(last + 1) / 8, narration=())


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, ()),
        ({"luma": 5}, ("black",)),
        ({"spread": 2}, ("black",)),
        ({"repeated": True, "motion": 0}, ("frozen",)),
        ({"motion": 0.1}, ("static",)),
        ({"motion": 90}, ("violent",)),
        ({"sharpness": 5}, ("blurred",)),
        ({"field": 0.02}, ("out-of-field",)),
        ({"damaged": True}, ("damaged",)),
    ],
)
def test_a_fault_is_named(changes: dict[str, Any], reasons: tuple[str, ...]) -> None:
    assert judge(span(), seen(**changes), CurationSettings()).reasons == reasons


def test_one_damaged_frame_rejects_a_clip() -> None:
    recording = seen()
    recording.damaged[60] = True
    assert judge(span(), recording, CurationSettings()).reasons == ("damaged",)
    assert judge(span(0, 37), recording, CurationSettings()).reasons == ()


def test_thresholds_come_from_the_settings() -> None:
    strict = CurationSettings(min_motion=8.0, min_field=0.7)
    assert judge(span(), seen(), strict).reasons == ("static", "out-of-field")


def test_a_gap_between_frames_is_a_freeze() -> None:
    recording = seen()
    recording.times_s[60:] += 2.0
    found = judge(
        ClipSpan(first=38, last=81, start_s=38 / 8, end_s=82 / 8 + 2, narration=()),
        recording,
        CurationSettings(),
    )
    assert found.reasons == ("frozen",)
    assert found.scores["frozen_s"] == pytest.approx(2.0)


def test_every_measure_is_a_score() -> None:
    scores = judge(span(), seen(), CurationSettings()).scores
    assert {"black", "frozen_s", "motion", "motion_peak", "blurred", "field", "damaged"} <= set(
        scores
    )
