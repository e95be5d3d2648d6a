"""Copies are near, neighbours in one shot are far."""

import math

import cv2
import numpy as np
import pytest

from films import Picture, scene
from ophora_curation.footage.fingerprint import Hasher, clip_fingerprint, distance
from ophora_curation.footage.observation import Observation
from ophora_curation.footage.planes import shrink
from ophora_curation.source.reader import RgbImage

FPS = 10


def wandering(number: int, frames: int) -> list[Picture]:
    """A scene in which a bright instrument wanders about."""
    rng = np.random.default_rng(number)
    path = rng.uniform(20, 108, (frames // 4 + 2, 2))
    pictures = []
    for index in range(frames):
        start, end = path[index // 4], path[index // 4 + 1]
        x, y = start + (end - start) * (index % 4) / 4
        picture = scene(number).copy()
        cv2.circle(picture, (int(1.4 * x), int(y)), 24, (250, 250, 250), -1)
        pictures.append(picture)
    return pictures


def seen(pictures: list[Picture]) -> Observation:
    hasher = Hasher()
    for index, picture in enumerate(pictures):
        hasher.add(shrink(RgbImage(picture).planes()).y, index / FPS)
    hashes, times = hasher.result()
    empty = np.zeros(0)
    return Observation(
        times_s=empty, luma=empty, spread=empty, sharpness=empty, motion=empty,
        repeated=empty, field=empty, damaged=empty,  # type: ignore[arg-type]
        fingerprints=hashes, fingerprint_times_s=times,
    )  # fmt: skip


def changed(picture: Picture, kind: str) -> Picture:
    if kind == "encoded":
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 25])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    if kind == "scaled":
        return np.asarray(cv2.resize(picture, (96, 64), interpolation=cv2.INTER_AREA), np.uint8)
    return picture[3:-3, 4:-4]


@pytest.mark.parametrize("kind", ["encoded", "scaled", "cropped"])
def test_a_copy_is_nearer_than_a_neighbour_in_the_same_shot(kind: str) -> None:
    original = wandering(3, 110)
    ours, copies = seen(original), seen([changed(picture, kind) for picture in original])
    first, neighbour = clip_fingerprint(ours, 0.0, 5.5), clip_fingerprint(ours, 5.5, 11.0)
    copy = distance(first, clip_fingerprint(copies, 0.0, 5.5))
    assert copy < 8.0
    assert distance(first, neighbour) > 18.0  # 14 without the bits that say what changed


def test_a_fingerprint_has_two_hashes_a_second() -> None:
    text = clip_fingerprint(seen(wandering(1, 60)), 1.0, 4.0)
    assert len(text) == 6 * 16
    assert distance(text, text) == 0.0


def test_what_cannot_be_compared_is_infinitely_far() -> None:
    assert distance("", "0" * 16) == math.inf
    assert distance("0" * 16 * 3, "0" * 16 * 6) == math.inf
    assert distance("0" * 16 * 4, "f" * 16 + "0" * 16 * 4) == 0.0
    with pytest.raises(ValueError, match="multiple of 16"):
        distance("abc", "0" * 16)
