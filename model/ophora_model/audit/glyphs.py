"""Codes on pictures: drawn in a 5 x 7 face, and looked for in what a reader of text has found.

The alphabet leaves out what readers take for one another (0 O, 1 I L, 2 Z, 5 S, 8 B, 6 G).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from ophora_model.video import Frames

ReadText = Callable[[Frames], list[str]]  # one video -> the lines that are legible in it
_FACE: Final[dict[str, str]] = {  # rows of five bits, from the top
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "F": "11111 10000 10000 11110 10000 10000 10000",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "K": "10001 10010 10100 11000 10100 10010 10001",
    "N": "10001 11001 10101 10101 10011 10001 10001",
    "P": "11110 10001 10001 11110 10000 10000 10000",
    "R": "11110 10001 10001 11110 10100 10010 10001",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "X": "10001 10001 01010 00100 01010 10001 10001",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "7": "11111 00001 00010 00100 00100 00100 00100",
    "9": "01110 10001 10001 01111 00001 00010 01100",
}
ALPHABET = "".join(_FACE)


def draw_code(picture: Frames, code: str) -> Frames:
    """The picture [H, W, 3] with the code across its middle, white on black, as wide as fits."""
    height, width = picture.shape[:2]
    columns = 6 * len(code) + 1
    scale = max(1, min(width // columns, height // 9))
    rows = [[bit == "1" for bit in _row(code, row)] for row in range(7)]
    bits = np.pad(np.array(rows), 1)[:, :columns].repeat(scale, 0).repeat(scale, 1)
    bits = bits[:height, :width]
    top, left = (height - bits.shape[0]) // 2, (width - bits.shape[1]) // 2
    drawn = picture.copy()
    drawn[top : top + bits.shape[0], left : left + bits.shape[1]] = np.where(
        bits[..., None], 255, 0
    ).astype(np.uint8)
    return drawn


def videos_with_code(videos: Sequence[Frames], codes: Sequence[str], read_text: ReadText) -> int:
    """In how many videos any of the codes can be read, one letter wrong or not."""
    wanted = {code.upper() for code in codes}
    return sum(_holds("".join(read_text(video)), wanted) for video in videos)


def _holds(text: str, codes: set[str]) -> bool:
    letters = "".join(letter for letter in text.upper() if letter.isalnum())
    return any(
        sum(one != other for one, other in zip(code, letters[start:], strict=False)) <= 1
        for code in codes
        for start in range(len(letters) - len(code) + 1)
    )


def _row(code: str, row: int) -> str:
    return "0".join(_FACE[letter].split()[row] for letter in code)
