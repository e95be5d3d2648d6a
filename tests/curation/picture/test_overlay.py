import pytest

from ophora_curation.picture.overlay import is_mark, judge_lines
from ophora_curation.picture.text_detector import TextLine


def line(text: str, confidence: float = 0.95) -> TextLine:
    width = 12 * max(1, len(text))
    return TextLine(box=(0, 0, width, 20), score=0.9, text=text, confidence=confidence)


def kinds(*texts: str, own: frozenset[str] = frozenset()) -> list[str]:
    return list(judge_lines([line(text) for text in texts], own, min_confidence=0.6))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        (["PHACO 40", "VAC 310"], ["device", "device"]),
        (["mmHg", "328"], ["device", "device"]),
        (["VACUUN 310"], ["device"]),  # one misread letter
        (["SURGICAM"], ["logo"]),
        (["SMITH, Anna"], ["personal"]),
        (["PHACO 40", "SMITH"], ["device", "personal"]),
        (["VAC 04.03.1957"], ["personal"]),
        (["FLOW 8812345"], ["personal"]),
        (["MRN 123"], ["personal"]),
        (["350"], ["unread"]),  # figures with no device's word near them
    ],
)
def test_only_known_words_are_harmless(texts: list[str], expected: list[str]) -> None:
    assert kinds(*texts) == expected


def test_an_unsure_reading_is_to_be_hidden() -> None:
    assert judge_lines([line("VAC 300", 0.4)], frozenset(), min_confidence=0.6) == ["unread"]


def test_a_site_can_name_its_own_logo() -> None:
    assert kinds("NORTHLIGHT", own=frozenset({"northlight"})) == ["logo"]


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("O", (20, 18), True),  # an emblem
        ("", (20, 18), True),
        ("O", (60, 18), False),  # too wide for one letter
        ("JS", (20, 18), False),  # initials
    ],
)
def test_a_mark_names_nobody(text: str, size: tuple[int, int], expected: bool) -> None:
    seen = TextLine(box=(0, 0, *size), score=0.7, text=text, confidence=0.9)
    assert is_mark(seen) is expected
