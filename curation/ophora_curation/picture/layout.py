"""Parts of the picture that a site always wants masked: where its recorder writes patient data.

    "1920x1080 0 0 1 0.07"    in recordings of 1920x1080, the top 7 percent

Source size, then left, top, right and bottom as shares of the picture. Several may name one size.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from ophora_curation.errors import SettingsError

Shares = tuple[float, float, float, float]  # left, top, right, bottom
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
_SHARE = re.compile(r"0|1|0?\.\d{1,6}|1\.0{1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One rectangle of every recording of one size."""

    size: tuple[int, int]  # width and height of the source, upright
    box: Shares


def parse_layouts(texts: Sequence[str]) -> tuple[Layout, ...]:
    """What the settings' lines say, in their order. Raises `SettingsError` for a wrong one."""
    return tuple(_parse(text) for text in texts)


def rectangles(layouts: Sequence[Layout], size: tuple[int, int]) -> tuple[Shares, ...] | None:
    """Boxes for recordings of this width and height; None when no layout names the size."""
    boxes = tuple(layout.box for layout in layouts if layout.size == size)
    return boxes or None


def _parse(text: str) -> Layout:
    size, *shares = text.split() or [""]
    named = _SIZE.fullmatch(size)
    if named is None or len(shares) != 4:
        _refuse(text, "must be WIDTHxHEIGHT LEFT TOP RIGHT BOTTOM")
    if not all(_SHARE.fullmatch(share) for share in shares):
        _refuse(text, "LEFT TOP RIGHT BOTTOM must be shares from 0 to 1")
    left, top, right, bottom = (float(share) for share in shares)
    if left >= right or top >= bottom:
        _refuse(text, "LEFT must be less than RIGHT and TOP less than BOTTOM")
    return Layout(size=(int(named[1]), int(named[2])), box=(left, top, right, bottom))


def _refuse(text: str, remedy: str) -> NoReturn:
    message = f'layouts="{text}": {remedy}, such as "1920x1080 0 0 1 0.07"'
    raise SettingsError(message)
