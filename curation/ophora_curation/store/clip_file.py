"""A clip as a file of its own: pixels re-encoded, and nothing else of the source.

No sound, no container tags, no time stamps, no remarks of the encoder inside the pictures' stream.
A draft is written under a temporary name and synced; `place` renames it, so whoever sees the final
name sees a whole clip.
"""

import hashlib
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
import numpy.typing as npt
from av.bitstream import BitStreamFilterContext

TEMPORARY_PREFIX = ".part-"
# with either of the last two on, x264 writes the same small pictures differently from run to run
_X264 = "log-level=none:weightp=0:mbtree=0"
_OPTIONS = {"crf": "18", "preset": "veryfast", "x264-params": _X264}
_NO_REMARKS = "filter_units=remove_types=6"  # x264 signs its stream in a unit of this type
_OWN_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands"})
_OWN_STREAM_TAGS = {"language": "und", "handler_name": "VideoHandler"}
_REMARK = 6  # H.264's unit type of supplemental information


class ClipDraft:
    """Write frames one by one, then `finish`; leaving the `with` unfinished deletes the draft."""

    def __init__(self, folder: Path, clip_id: str, *, fps: Fraction, part: str = "") -> None:
        self.path = folder / f"{TEMPORARY_PREFIX}{clip_id}{part}.mp4"
        self._fps = fps.limit_denominator(1001)
        self._container = av.open(
            self.path, "w", format="mp4", options={"fflags": "+bitexact", "movflags": "faststart"}
        )
        self._stream: av.VideoStream | None = None
        self._filter: BitStreamFilterContext | None = None
        self._is_finished = False
        self.num_frames = 0
        self.size = (0, 0)  # width, height

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_finished:
            try:
                self._container.close()
            finally:
                self.path.unlink(missing_ok=True)

    def add(self, picture: npt.NDArray[np.uint8]) -> None:
        """Encode one RGB frame; an odd last row or column is cut off."""
        height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
        if self._stream is None:
            self._stream = self._make_stream(width, height)
        even = np.ascontiguousarray(picture[:height, :width])
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        frame.pts = self.num_frames
        frame.time_base = 1 / self._fps
        self._mux(self._stream.encode(frame))
        self.num_frames += 1

    def finish(self) -> str:
        """Complete the draft, readable by its owner alone, and return its SHA-256."""
        if self._stream is not None:
            self._mux(self._stream.encode(None))
        self._container.close()
        with self.path.open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        self.path.chmod(0o600)
        os.utime(self.path, (0, 0))
        self._is_finished = True
        return digest

    def _mux(self, packets: Iterable[Any]) -> None:
        assert self._filter is not None
        for packet in packets:
            for kept in self._filter.filter(packet):
                self._container.mux(kept)

    def _make_stream(self, width: int, height: int) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=self._fps, options=_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        self._filter = BitStreamFilterContext(_NO_REMARKS, stream)
        self.size = (width, height)
        return stream


def place(draft: Path, folder: Path, clip_id: str) -> Path:
    """Give a finished draft its final name in a folder, durably; returns where it is."""
    final = folder / f"{clip_id}.mp4"
    draft.replace(final)
    for changed in {folder, draft.parent}:
        descriptor = os.open(changed, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return final


def count_strangers(path: Path) -> int:
    """What a clip's file holds beside one stream of pictures: streams, tags, remarks, a date."""
    with av.open(path, format="mp4") as container:
        streams = container.streams
        found = len(streams) - 1 + (not streams.video)
        found += len(set(container.metadata) - _OWN_TAGS)
        for stream in streams:
            found += sum(_OWN_STREAM_TAGS.get(tag) != said for tag, said in stream.metadata.items())
        if streams.video:
            found += sum(_remarks(bytes(packet)) for packet in container.demux(streams.video[0]))
    return found + (path.stat().st_mtime != 0)


def _remarks(packet: bytes) -> int:
    """Units of supplemental information in a packet as MP4 stores it: length, unit, ..."""
    found = position = 0
    while position + 5 <= len(packet):
        length = int.from_bytes(packet[position : position + 4], "big")
        found += packet[position + 4] & 0x1F == _REMARK
        position += 4 + length
    return found


def remove_orphans(folder: Path, known: set[str]) -> int:
    """Delete drafts, and clips that no manifest row names, left by a killed run."""
    orphans = [
        path
        for path in folder.glob("*.mp4")
        if path.name.startswith(TEMPORARY_PREFIX) or path.stem not in known
    ]
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)
