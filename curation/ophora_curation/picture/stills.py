"""A few pictures that stand for a clip: means over a second or two, and single frames.

Tissue moves and an overlay does not, so a mean keeps the text and loses the eye; faint text that no
single frame shows comes out too. The stretch is short enough that a line of a second, or half of
one, still shows in its mean. Faces and changing figures are looked for in the single frame.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
_CHUNK_S = 1.7


@dataclass(frozen=True, slots=True)
class Still:
    """The mean of a stretch of a clip and the frame in its middle. Still identifiable."""

    mean: Picture = field(repr=False)
    middle: Picture = field(repr=False)


def make_stills(pictures: Sequence[Picture], *, fps: float) -> list[Still]:
    """One still for about every two seconds; at least one. All pictures have one size."""
    chunks = max(1, math.ceil(len(pictures) / fps / _CHUNK_S))
    edges = [round(len(pictures) * number / chunks) for number in range(chunks + 1)]
    stills = []
    for first, end in itertools.pairwise(edges):
        part = pictures[first:end]
        total = np.zeros(part[0].shape, np.uint32)
        for picture in part:
            total += picture
        mean = (total // len(part)).astype(np.uint8)
        stills.append(Still(mean, part[len(part) // 2]))
    return stills
