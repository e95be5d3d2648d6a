"""What a burned-in line is: provably harmless, or to be hidden.

A line is harmless only when it reads for sure as a device's figures or a known logo. All else, and
all that can't be read, is treated as a patient's data.
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files
from typing import Literal

from ophora_curation.picture.text_detector import TextLine

LineKind = Literal["logo", "device", "unread", "personal"]
_NUMBER = re.compile(r"[+-]?\d{1,4}(?:[.,]\d{1,2})?%?$")
_DATE = re.compile(r"\d{1,4}\s*[-./]\s*\d{1,2}\s*[-./]\s*\d{1,4}|\d{5,}")
_TOKEN = re.compile(r"[A-Za-z]+(?:/[A-Za-z]+)?|[+-]?\d+(?:[.,]\d+)?%?|[^\sA-Za-z\d]")
_PUNCTUATION = frozenset(":;.,/-|%()[]+=*'\"<>_~#&")


@cache
def overlay_words(kind: str) -> frozenset[str]:
    """The words of `device` read-outs or `logo`s that are known to be harmless."""
    text = (files("ophora_curation") / "data" / "overlay_words.txt").read_text(encoding="ascii")
    mark = f"{kind}: "
    lines = [line.removeprefix(mark) for line in text.splitlines() if line.startswith(mark)]
    return frozenset(word for line in lines for word in line.split())


def is_mark(line: TextLine) -> bool:
    """Whether a reading is one letter at most in a box of its size: an emblem, a highlight, a wire.

    One letter names nobody.
    """
    width, height = line.box[2] - line.box[0], line.box[3] - line.box[1]
    return len(line.text) <= 1 and width < 1.6 * height


def judge_lines(
    lines: Sequence[TextLine], own_words: frozenset[str], *, min_confidence: float
) -> list[LineKind]:
    """The kind of every line of one clip; figures are a device's only beside a device's word."""
    kinds = [_judge_line(line, own_words, min_confidence) for line in lines]
    figures: LineKind = "device" if "device" in kinds else "unread"
    return [figures if kind == "figure" else kind for kind in kinds]


def _judge_line(
    line: TextLine, own_words: frozenset[str], min_confidence: float
) -> LineKind | Literal["figure"]:
    if _DATE.search(line.text):
        return "personal"
    if line.confidence < min_confidence or not line.text:
        return "unread"
    kinds = {_judge_token(token, own_words) for token in _TOKEN.findall(line.text)}
    kinds.discard("punctuation")
    if "unknown" in kinds or not kinds:
        return "personal" if "unknown" in kinds else "unread"
    if "device" in kinds:
        return "device"
    return "logo" if "logo" in kinds else "figure"


def _judge_token(token: str, own_words: frozenset[str]) -> str:
    word = token.lower()
    if word in _PUNCTUATION:
        return "punctuation"
    if _NUMBER.match(word):
        return "figure"
    if _knows(word, overlay_words("device")):
        return "device"
    if _knows(word, overlay_words("logo")) or _knows(word, own_words):
        return "logo"
    return "unknown"


def _knows(word: str, words: frozenset[str]) -> bool:
    """Exact, or one misread letter in a word of five or more."""
    if word in words:
        return True
    if len(word) < 5:
        return False
    return any(
        abs(len(known) - len(word)) <= 1
        and len(known) >= 5
        and SequenceMatcher(None, word, known).ratio() >= 1 - 1.2 / len(known)
        for known in words
    )
