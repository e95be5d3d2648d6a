"""A clip as a file of its own: pixels re-encoded, and nothing else of the source.

No sound, no container tags, no time stamps. The file is written under a temporary name, synced
and renamed, so whoever sees the final name sees a whole clip.
"""

import hashlib
import os
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np
import numpy.typing as npt

TEMPORARY_PREFIX = ".part-"
# with either of the last two on, x264 writes the same small pictures differently from run to run
_X264 = "log-level=none:weightp=0:mbtree=0"
_OPTIONS = {"crf": "18", "preset": "veryfast", "x264-params": _X264}


class ClipWriter:
    """Write frames one by one, then `finish`; leaving the `with` unfinished deletes the draft."""

    def __init__(self, folder: Path, clip_id: str, *, fps: Fraction) -> None:
        self._final = folder / f"{clip_id}.mp4"
        self._draft = folder / f"{TEMPORARY_PREFIX}{clip_id}.mp4"
        self._fps = fps.limit_denominator(1001)
        self._container = av.open(
            self._draft, "w", format="mp4", options={"fflags": "+bitexact", "movflags": "faststart"}
        )
        self._stream: av.VideoStream | None = None
        self.num_frames = 0
        self.size = (0, 0)  # width, height

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()
        self._draft.unlink(missing_ok=True)

    def add(self, picture: npt.NDArray[np.uint8]) -> None:
        """Encode one RGB frame; an odd last row or column is cut off."""
        height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
        if self._stream is None:
            self._stream = self._make_stream(width, height)
        even = np.ascontiguousarray(picture[:height, :width])
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        frame.pts = self.num_frames
        frame.time_base = 1 / self._fps
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self.num_frames += 1

    def finish(self) -> str:
        """Complete the file, put it in place and return its SHA-256."""
        if self._stream is not None:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
        self._container.close()
        with self._draft.open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        os.utime(self._draft, (0, 0))
        self._draft.replace(self._final)
        folder = os.open(self._final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return digest

    def _make_stream(self, width: int, height: int) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=self._fps, options=_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        self.size = (width, height)
        return stream


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


def place(draft: Path, folder: Path, clip_id: str) -> Path:
    """Give a finished draft its final name in a folder, durably; returns where it is.

    Raises `StoreFull` when that can't be written; the draft is kept then.
    """
    raise NotImplementedError
