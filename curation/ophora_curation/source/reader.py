"""Decoded frames of one video, in order, one at a time (PyAV, one thread).

Packets are decoded one by one, so a damaged packet costs its own frames and is counted; frames
carry their own time, so a variable frame rate stays right. Memory is one frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from ophora_curation.errors import VideoRefused
from ophora_curation.source.probe import Probe

Picture = npt.NDArray[np.uint8]  # [height, width, 3] RGB


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture with its time from the start of the video."""

    index: int
    time_s: float
    picture: Picture = field(repr=False)  # still identifiable


class FrameReader:
    """Iterate to get `Frame`s; `num_damaged` is complete once the iteration has ended."""

    def __init__(self, path: Path, probe: Probe) -> None:
        self._path = path
        self._probe = probe
        self.num_damaged = 0

    def __iter__(self) -> Iterator[Frame]:
        """Yield every decodable frame. Raises `VideoRefused` when the container can't be read."""
        self.num_damaged = 0
        first_s: float | None = None
        for index, frame in enumerate(self._decoded()):
            time_s = float(frame.time) if frame.time is not None else index / float(self._probe.fps)
            first_s = time_s if first_s is None else first_s
            picture = _upright(frame)
            yield Frame(index=index, time_s=time_s - first_s, picture=picture)

    def _decoded(self) -> Iterator[VideoFrame]:
        try:
            container = av.open(self._path, format=self._probe.demuxer)
        except (av.FFmpegError, OSError) as error:
            raise VideoRefused("unreadable") from error
        with container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            num_packets = 0
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets)
                except StopIteration:
                    break
                except av.FFmpegError:
                    self.num_damaged += 1
                    break
                num_packets += packet.size > 0
                yield from self._frames_of(packet)
            missing = self._probe.claimed_frames - num_packets
            self.num_damaged += max(0, missing)

    def _frames_of(self, packet: Any) -> Iterator[VideoFrame]:
        try:
            for frame in packet.decode():
                self.num_damaged += bool(frame.is_corrupt)
                yield frame
        except av.FFmpegError:
            self.num_damaged += 1


def _upright(frame: VideoFrame) -> Picture:
    picture = np.asarray(frame.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture
