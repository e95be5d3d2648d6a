from typing import cast

import cv2
import numpy as np
import pytest

from ophora_curation.phantom.identity import invent_person
from ophora_curation.phantom.patient_overlay import draw_patient
from ophora_curation.picture import lines
from ophora_curation.picture.lines import find_lines
from ophora_curation.picture.stills import Picture, make_stills
from ophora_curation.picture.text_detector import TextDetector, TextLine
from ophora_curation.settings import CurationSettings

FPS = 8.0


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    return TextDetector()


def tissue(frames: int = 40, height: int = 404, width: int = 720) -> Picture:
    """Reddish blobs that drift, as tissue under a microscope does."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(60, 190, (height // 12, width // 6)).astype(np.float32)
    wide = cv2.resize(coarse, (2 * width, height), interpolation=cv2.INTER_CUBIC)
    tint = np.array([1.0, 0.55, 0.45], np.float32)
    return np.stack(
        [
            np.clip(wide[:, 3 * index : 3 * index + width, None] * tint, 0, 255).astype(np.uint8)
            for index in range(frames)
        ]
    )


def uncovered(stack: Picture, seed: int, detector: TextDetector) -> int:
    """How many burned-in lines no found box covers by nine tenths."""
    rng = np.random.default_rng(seed)
    drawn = draw_patient(stack, rng, invent_person(rng), fps=FPS)
    hidden = np.zeros(stack.shape[1:3], bool)
    for line, _ in find_lines(make_stills(list(stack), fps=FPS), detector, CurationSettings()):
        left, top, right, bottom = line.box
        hidden[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = True
    shares = [hidden[top:bottom, left:right].mean() for left, top, right, bottom in drawn.boxes]
    assert shares
    return sum(share < 0.9 for share in shares)


@pytest.mark.parametrize("seed", range(6))
def test_every_line_of_a_small_block_is_found(seed: int, detector: TextDetector) -> None:
    assert uncovered(tissue(), seed, detector) == 0


def test_a_block_that_shows_for_a_second_is_found(detector: TextDetector) -> None:
    still, shown = tissue(), tissue()
    rng = np.random.default_rng(0)
    drawn = draw_patient(shown, rng, invent_person(rng), fps=FPS)
    still[16:24] = shown[16:24]
    found = find_lines(make_stills(list(still), fps=FPS), detector, CurationSettings())
    assert drawn.boxes
    assert len(found) >= len(drawn.boxes)


@pytest.mark.parametrize("width", [480, 720])
def test_a_line_too_faint_for_any_still_is_found(width: int, detector: TextDetector) -> None:
    stack = tissue(height=width * 2 // 3, width=width)
    tall = 0.3 if width < 720 else 0.42
    written = np.zeros(stack.shape[1:3], np.uint8)
    cv2.putText(written, "TERVO Anja 76687243", (16, 40), 0, tall, 255, 1, cv2.LINE_AA)
    faint = np.clip(stack + (written[None, ..., None] * 0.09), 0, 255).astype(np.uint8)
    stills = make_stills(list(faint), fps=FPS)
    settings = CurationSettings()
    assert not [line for still in stills for line in lines._read(still, detector, settings)]
    (line, _), *_ = find_lines(stills, detector, settings)
    assert line.box[0] < 24
    assert line.box[3] > 36


def test_tissue_alone_shows_no_line(detector: TextDetector) -> None:
    assert find_lines(make_stills(list(tissue()), fps=FPS), detector, CurationSettings()) == []


def test_neighbourhoods_stay_in_the_picture_and_join() -> None:
    boxes = [(700, 10, 719, 16), (690, 20, 715, 26), (5, 390, 60, 400)]
    first, second = sorted(lines._neighbourhoods(boxes, (720, 404)))
    assert first[0] == 0
    assert first[3] == 404
    assert second[1] == 0
    assert second[2] == 720


class Misread:
    """Finds one large box, and reads one doubtful letter there, and once something else."""

    def __init__(self, last: str) -> None:
        self._last = last
        self._left = 6

    def find(self, picture: Picture) -> list[tuple[tuple[int, int, int, int], float]]:
        return [((0, 0, 99, 66), 0.8)]

    def read(self, picture: Picture, box: tuple[int, int, int, int], score: float) -> TextLine:
        self._left -= 1
        if self._left == 0:
            return TextLine(box=box, score=score, text=self._last, confidence=0.5)
        return TextLine(box=box, score=score, text="2", confidence=0.4)


@pytest.mark.parametrize(("last", "expected"), [("2", []), ("Smith", ["unread"])])
def test_one_reading_that_is_no_mark_keeps_the_place(last: str, expected: list[str]) -> None:
    detector = cast(TextDetector, Misread(last))
    found = find_lines(make_stills(list(tissue()), fps=FPS), detector, CurationSettings())
    assert [kind for _, kind in found] == expected
