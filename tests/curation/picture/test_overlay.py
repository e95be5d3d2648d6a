import cv2
import numpy as np
import pytest

from ophora_curation.picture.overlay import MeanPictures, judge_lines, judge_overlay
from ophora_curation.picture.text_detector import TextDetector, TextLine


def line(text: str, confidence: float = 0.95) -> TextLine:
    width = 12 * max(1, len(text))
    return TextLine(box=(0, 0, width, 20), score=0.9, text=text, confidence=confidence)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        ([], "none"),
        (["PHACO 40", "VAC 310"], "device"),
        (["mmHg", "328"], "device"),
        (["VACUUN 310"], "device"),  # one misread letter
        (["SURGICAM"], "logo"),
        (["SMITH, Anna"], "personal"),
        (["PHACO 40", "SMITH"], "personal"),
        (["VAC 04.03.1957"], "personal"),
        (["FLOW 8812345"], "personal"),
        (["MRN 123"], "personal"),
        (["350"], "unread"),  # figures with no device's word near them
    ],
)
def test_only_known_words_are_harmless(texts: list[str], kind: str) -> None:
    assert judge_lines([line(text) for text in texts], frozenset()).kind == kind


def test_an_unsure_reading_is_held() -> None:
    assert judge_lines([line("VAC 300", 0.4)], frozenset()).kind == "unread"


def test_a_site_can_name_its_own_logo() -> None:
    assert judge_lines([line("NORTHLIGHT")], frozenset({"northlight"})).kind == "logo"


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", "none"), ("VAC 310", "device"), ("DOE, JANE", "personal"), ("MRN 4471", "personal")],
)
def test_text_is_found_in_the_mean_of_moving_tissue(text: str, kind: str) -> None:
    rng = np.random.default_rng(3)
    means = MeanPictures(24, 8.0)
    for index in range(24):
        picture = np.full((128, 192, 3), (190, 120, 100), np.uint8)
        picture += rng.integers(0, 30, picture.shape, dtype=np.uint8)
        cv2.circle(picture, (96 + index % 5, 64), 40, (90, 40, 30), -1)
        cv2.putText(picture, text, (6, 118), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1)
        means.add(picture)
    assert judge_overlay(TextDetector(), means.means(), ()).kind == kind
