"""Frames through PyAV, one thread: the default, the fastest to raw planes and the most forgiving.

Packets are decoded one by one, so a damaged packet costs its own frames and is counted. Frames
that may have been predicted from a damaged one are marked until the next key frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ophora_curation.source.container import find_source, open_container
from ophora_curation.source.probe import Probe
from ophora_curation.source.reader import Frame, Picture, Plane, Planes

_SLACK = 256  # pixels that a codec may pad each side by
_MAX_STEP_S = 600.0  # between two frames; more is a broken clock, not a pause
_TAIL_S = 2.0  # that may be missing at the end of a file that counts no frames: sound may be longer
_MAX_DEMUX_ERRORS = 64  # in a row
_NEAR_S = 1e-6
_PLANAR = frozenset(
    f"yuv{mark}{kind}p" for mark in ("", "j", "a") for kind in ("420", "422", "444", "440", "411")
)
_DEEP = {
    f"yuv{kind}p{bits}le": bits
    for kind in ("420", "422", "444", "440")
    for bits in (9, 10, 12, 14, 16)
}
_LIMITED_RANGE, _FULL_RANGE = 1, 2  # AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG
_GREY = np.full((2, 2), 128, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class PyavImage:
    """A decoded picture in FFmpeg's memory."""

    frame: VideoFrame = field(repr=False)

    def planes(self) -> Planes:
        """Views where the picture has 8 bits; otherwise the upper 8 of each value."""
        frame, name = self.frame, self.frame.format.name
        turns = round(frame.rotation / 90) % 4
        is_full = frame.color_range == _FULL_RANGE or name.startswith("yuvj")
        if name == "gray":
            is_full = frame.color_range != _LIMITED_RANGE  # as FFmpeg takes it
            return Planes(y=_plane(frame, 0), u=_GREY, v=_GREY, full_range=is_full, turns=turns)
        if name in _DEEP:
            y, u, v = (_upper_bits(frame, number, _DEEP[name]) for number in range(3))
            return Planes(y=y, u=u, v=v, full_range=is_full, turns=turns)
        if name not in _PLANAR:
            frame = frame.reformat(format="yuv420p", threads=1)
            is_full = frame.color_range == _FULL_RANGE
        y, u, v = (_plane(frame, number) for number in range(3))
        return Planes(y=y, u=u, v=v, full_range=is_full, turns=turns)

    def picture(self) -> Picture:
        """RGB, turned by the container's display matrix."""
        rgb = np.asarray(self.frame.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)
        turns = round(self.frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


class PyavReader:
    """Iterate, or `frames_from` for parts; see `Reader`."""

    def __init__(self, path: Path, probe: Probe, *, fast: bool = False) -> None:
        self._probe = probe
        self._source = probe.source or find_source(path)
        self._fast = fast
        self.num_damaged = 0
        self.num_lost = 0

    def __iter__(self) -> Iterator[Frame]:
        """Every decodable frame. Raises `VideoRefused` when the container can't be read."""
        decoding = _Pass(self._probe, fast=self._fast)
        with self._opened() as container:
            for index, (time_s, frame) in enumerate(decoding.frames(container)):
                damaged = decoding.is_spoiled
                yield Frame(index=index, time_s=time_s, damaged=damaged, image=PyavImage(frame))
        self.num_damaged, self.num_lost = decoding.num_damaged, decoding.num_lost()

    def frames_from(self, time_s: float) -> Iterator[Frame]:
        """From a key frame at or before `time_s`; from the start where nothing can be sought."""
        if self._probe.can_seek and time_s > 0:
            frames = self._read(seek_s=time_s)
            first = next(frames, None)
            if first is not None and first.time_s <= time_s + _NEAR_S:
                yield first
                yield from frames
                return
        yield from self._read(seek_s=0.0)

    def _read(self, *, seek_s: float) -> Iterator[Frame]:
        decoding = _Pass(self._probe, fast=self._fast)
        with self._opened() as container:
            if seek_s > 0 and not _seek(container, seek_s + self._probe.start_s):
                return
            for time_s, frame in decoding.frames(container):
                damaged = decoding.is_spoiled
                yield Frame(index=-1, time_s=time_s, damaged=damaged, image=PyavImage(frame))

    def _opened(self) -> AbstractContextManager[InputContainer]:
        width, height = self._probe.stored_size
        limit = (max(width, 16) + _SLACK) * (max(height, 16) + _SLACK)
        return open_container(self._source, max_pixels=limit, fps=self._probe.fps)


class _Pass:
    """One run of the decoder over the packets: frames with their times, and what was lost."""

    def __init__(self, probe: Probe, *, fast: bool) -> None:
        self._probe = probe
        self._fast = fast
        self._frame_s = 1.0 / float(probe.fps)
        self._last_s = -math.inf
        self._shift_s = probe.start_s  # from the container's clock to the video's
        self._num_got = 0
        self._num_unshown = 0  # left out on purpose by an edit list
        self.num_damaged = 0
        self.is_spoiled = False  # the last frame, or what it was predicted from

    def frames(self, container: InputContainer) -> Iterator[tuple[float, VideoFrame]]:
        """Every frame of the expected size with its time."""
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        width, height = self._probe.stored_size
        options = {"threads": "1", "max_pixels": str((width + _SLACK) * (height + _SLACK))}
        if self._fast:
            options["skip_loop_filter"] = "all"
        stream.codec_context.options = options
        for packet in self._packets(container, stream):
            for frame in self._decoded(packet):
                if (frame.width, frame.height) != (width, height):
                    self.num_damaged += 1
                    continue
                self._num_got += 1
                yield self._time_s(frame), frame

    def num_lost(self) -> int:
        """Frames that were claimed and not got, once the pass has ended."""
        probe = self._probe
        if probe.claimed_frames:
            return max(0, probe.claimed_frames - self._num_got - self._num_unshown)
        tail_s = probe.duration_s - max(0.0, self._last_s) - self._frame_s
        return round(tail_s / self._frame_s) if tail_s > _TAIL_S else 0

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[Packet[VideoStream]]:
        packets, errors = container.demux(stream), 0
        while errors < _MAX_DEMUX_ERRORS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, ValueError):
                errors += 1
                self._spoil()
                packets = container.demux(stream)  # the generator ended with its error
                continue
            errors = 0
            self._num_unshown += packet.is_discard
            if packet.is_corrupt:
                self.is_spoiled = True
            yield packet

    def _decoded(self, packet: Packet[VideoStream]) -> Iterator[VideoFrame]:
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            self._spoil()
            return
        for frame in frames:
            if frame.is_corrupt:
                self._spoil()
            elif frame.key_frame:
                self.is_spoiled = False
            yield frame

    def _spoil(self) -> None:
        self.num_damaged += 1
        self.is_spoiled = True

    def _time_s(self, frame: VideoFrame) -> float:
        """Seconds from the start; a clock that stands, turns back or leaps is bridged."""
        next_s = max(self._last_s, -self._frame_s) + self._frame_s
        if frame.time is None:
            moment_s = next_s
        else:
            moment_s = frame.time - self._shift_s
            leaps = self._last_s > -math.inf and moment_s > self._last_s + _MAX_STEP_S
            if moment_s <= self._last_s or moment_s < 0 or leaps:
                moment_s = next_s
                self._shift_s = frame.time - moment_s
        self._last_s = moment_s
        return moment_s


def _plane(frame: VideoFrame, number: int) -> Plane:
    plane = frame.planes[number]
    rows: Plane = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]  # a view


def _upper_bits(frame: VideoFrame, number: int, bits: int) -> Plane:
    plane = frame.planes[number]
    rows = np.frombuffer(memoryview(plane), dtype=np.uint16).reshape(-1, plane.line_size // 2)
    values = rows[: plane.height, : plane.width]
    return np.asarray(cv2.convertScaleAbs(values, alpha=0.5 ** (bits - 8)), dtype=np.uint8)


def _seek(container: InputContainer, time_s: float) -> bool:
    stream = container.streams.video[0]
    try:
        assert stream.time_base is not None
        container.seek(int(time_s / stream.time_base), stream=stream, backward=True)
    except (av.FFmpegError, OverflowError):
        return False
    return True
