"""A video inside a DICOM file: where its stream lies, and a file object that reads only that.

pydicom walks the dataset up to the pixel data and keeps two facts of it (frame rate and count);
what it says of the patient is skipped, not parsed. The encapsulated stream may be cut into
many fragments; `StreamFile` joins them on the fly, so nothing is copied, whatever the size.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from ophora_curation.errors import VideoRefused

_PREFIX_AT = 128
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_ITEM = b"\xfe\xff\x00\xe0"
_OPEN_LENGTH = 0xFFFFFFFF
_MAX_FRAGMENTS = 2_000_000  # one a frame for six hours at 60 fps, and more
_COUNT_TAG = "NumberOfFrames"
_RATE_TAGS = ("FrameTime", "CineRate", "RecommendedDisplayFrameRate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encapsulated:
    """Where the stream's pieces lie in the DICOM file, in order."""

    starts: array[int] = field(repr=False)  # position in the file
    offsets: array[int] = field(repr=False)  # position in the stream; one more than `starts`
    fps: Fraction  # 0 when the dataset does not say
    num_frames: int  # as the dataset claims; 0 when it does not

    @property
    def size(self) -> int:
        """Bytes of the stream."""
        return self.offsets[-1]


class StreamFile(io.RawIOBase):
    """The encapsulated stream as a read-only file that can be sought in."""

    def __init__(self, path: Path, stream: Encapsulated) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._stream = stream
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from one fragment; 0 at the end."""
        stream = self._stream
        if self._at >= stream.size:
            return 0
        index = bisect_right(stream.offsets, self._at) - 1
        self._file.seek(stream.starts[index] + self._at - stream.offsets[index])
        wanted = min(len(buffer), stream.offsets[index + 1] - self._at)
        count = self._file.readinto(memoryview(buffer)[:wanted])
        self._at += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position of the stream."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._stream.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """The position in the stream."""
        return self._at

    def close(self) -> None:
        """Close the DICOM file too."""
        self._file.close()
        super().close()


def is_dicom(head: bytes) -> bool:
    """Whether a file that starts so is a DICOM file."""
    return head[_PREFIX_AT : _PREFIX_AT + 4] == b"DICM"


def find_stream(path: Path) -> Encapsulated:
    """Locate the encapsulated video. Raises `VideoRefused` where there is none."""
    from pydicom import dcmread
    from pydicom.uid import MPEGTransferSyntaxes

    with path.open("rb") as file, _silent():
        try:
            wanted = [_COUNT_TAG, *_RATE_TAGS]
            dataset = dcmread(file, stop_before_pixels=True, specific_tags=wanted)
            syntax = dataset.file_meta.TransferSyntaxUID
            fps, num_frames = _rate(dataset), max(0, int(dataset.get(_COUNT_TAG) or 0))
        except Exception as error:  # a hostile dataset may break the parser in any way
            raise VideoRefused("unreadable") from error
        if syntax not in MPEGTransferSyntaxes:
            raise VideoRefused("not-a-video")
        starts, offsets = _fragments(file, path.stat().st_size)
    return Encapsulated(starts=starts, offsets=offsets, fps=fps, num_frames=num_frames)


def _fragments(file: BinaryIO, size: int) -> tuple[array[int], array[int]]:
    """Read the items' headers only; a file that ends early gives what is there."""
    header = file.read(12)
    if header[:4] != _PIXEL_DATA or header[8:] != struct.pack("<I", _OPEN_LENGTH):
        raise VideoRefused("no-video")
    starts, offsets = array("Q"), array("Q", [0])
    at, is_table = file.tell(), True  # the first item is the table of offsets
    while len(item := file.read(8)) == 8 and item[:4] == _ITEM:
        length = min(struct.unpack("<I", item[4:])[0], size - at - 8)
        if not is_table and length:
            starts.append(at + 8)
            offsets.append(offsets[-1] + length)
        if len(starts) > _MAX_FRAGMENTS:
            raise VideoRefused("unreadable")
        at, is_table = at + 8 + length, False
        file.seek(at)
    if not starts:
        raise VideoRefused("no-video")
    return starts, offsets


def _rate(dataset: Any) -> Fraction:
    """Frames a second; 0 when the dataset does not say, or says nonsense."""
    frame_ms, *rates = (float(dataset.get(tag) or 0) for tag in _RATE_TAGS)
    found = next((rate for rate in (1000 / frame_ms if frame_ms > 0 else 0.0, *rates) if rate), 0.0)
    return Fraction(found).limit_denominator(1001) if 0.5 <= found <= 480 else Fraction(0)


@contextmanager
def _silent() -> Iterator[None]:
    """pydicom quotes values in its warnings and its log: they are personal data."""
    log = logging.getLogger("pydicom")
    was_disabled, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled = was_disabled
