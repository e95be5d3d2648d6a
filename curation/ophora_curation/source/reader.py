"""Decoded frames of one video, in order, one at a time: what every decoder gives.

`open_reader` chooses the decoder. Frames carry their own time, so a variable frame rate stays
right; analysis reads the raw planes, which costs no colour conversion, and only what becomes a
clip is turned into RGB. Memory is one frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ophora_curation.source.probe import Probe

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB
Plane = npt.NDArray[np.uint8]  # [height, width]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planes:
    """Luma and both colour differences at 8 bits, as stored (not upright); colour may be smaller.

    They may be views of the decoder's memory: read them before the next frame is asked for.
    """

    y: Plane = field(repr=False)
    u: Plane = field(repr=False)
    v: Plane = field(repr=False)
    full_range: bool = False  # luma uses 0-255 instead of 16-235
    turns: int = 0  # quarter turns counter-clockwise that make it upright


class Image(Protocol):
    """One decoded picture as a decoder holds it."""

    def planes(self) -> Planes:
        """Raw planes."""
        ...

    def picture(self) -> Picture:
        """Upright RGB."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture with its time from the start of the video."""

    index: int  # from the first decoded frame; -1 where reading began in the middle
    time_s: float
    damaged: bool = False  # itself, or a frame that it was predicted from
    image: Image = field(repr=False)  # still identifiable

    def planes(self) -> Planes:
        """Luma and colour as stored; valid until the next frame is asked for."""
        return self.image.planes()

    def picture(self) -> Picture:
        """RGB, turned upright."""
        return self.image.picture()


@dataclass(frozen=True, slots=True)
class RgbImage:
    """A picture that is RGB and upright already."""

    rgb: Picture = field(repr=False)

    def planes(self) -> Planes:
        """Full-size colour planes, full range."""
        yuv = np.asarray(cv2.cvtColor(self.rgb, cv2.COLOR_RGB2YCrCb), dtype=np.uint8)
        return Planes(y=yuv[..., 0], u=yuv[..., 2], v=yuv[..., 1], full_range=True)

    def picture(self) -> Picture:
        """As it is."""
        return self.rgb


class Reader(Protocol):
    """Frames of one video. The counts are complete once a whole iteration has ended."""

    num_damaged: int  # packets that could not be decoded and frames marked as corrupt
    num_lost: int  # frames that the container claims and nobody got

    def __iter__(self) -> Iterator[Frame]:
        """Every decodable frame. Raises `VideoRefused` when the container can't be read."""
        ...

    def frames_from(self, time_s: float) -> Iterator[Frame]:
        """Frames from a moment at or before `time_s`, with index -1; see `Probe.can_seek`."""
        ...


def open_reader(path: Path, probe: Probe, *, decoder: str = "pyav", fast: bool = False) -> Reader:
    """A reader for a probed file. `fast` leaves out the loop filter: for analysis, not for clips.

    Raises `VideoRefused("no-decoder")` where the decoder does not know the codec.
    """
    if decoder == "decord":
        from ophora_curation.source.decord_reader import DecordReader

        return DecordReader(path, probe)
    from ophora_curation.source.pyav_reader import PyavReader

    return PyavReader(path, probe, fast=fast)
