"""A video's first sound track as the speech model takes it, in time with the pictures.

Sound is decoded into memory and dropped after recognition; it is never written anywhere. What
can't be decoded is left out, and where the track's clock shows a gap there is silence, so words
after it keep their times.
"""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.container import InputContainer

from ophora_curation.source.container import find_source, open_container
from ophora_curation.source.probe import Probe

RATE = 16000
MAX_SOUND_S = 8 * 3600  # what comes later is not heard: 0.9 GB are reached
_SLACK_S = 0.05  # between clock and samples, before they are brought together
_MAX_BACK_S = 1.0  # that samples may run ahead of the clock; more is a broken clock
_MAX_STEP_S = 600.0  # of silence; more is a broken clock
_MAX_DEMUX_ERRORS = 64  # in a row
_SLACK_PIXELS = 256

Sound = npt.NDArray[np.int16]


def read_sound(path: Path, probe: Probe) -> Sound:
    """Mono samples at 16 kHz, int16; index 0 is the video's first moment.

    Two bytes a sample (115 MB an hour), at most `MAX_SOUND_S`. Empty where there is no sound that
    can be decoded. Raises `VideoRefused` when the container can't be opened.
    """
    width, height = probe.stored_size
    limit = (max(width, 16) + _SLACK_PIXELS) * (max(height, 16) + _SLACK_PIXELS)
    source = probe.source or find_source(path)
    track = _Track(probe.start_s)
    with open_container(source, max_pixels=limit, fps=probe.fps) as container:
        for frame in _frames(container):
            track.add(frame)
            if track.is_full:
                break
    return track.sound()


class _Track:
    """Samples so far; each frame is put where its clock says, if that can be believed."""

    def __init__(self, start_s: float) -> None:
        self._samples = array("h")
        self._shift_s = start_s  # from the container's clock to the video's
        self._position = 0  # of the next sample; below 0 before the video begins
        self._begun = False
        self._kind: tuple[Any, ...] = ()
        self._resampler: Any = None

    @property
    def is_full(self) -> bool:
        return self._position >= MAX_SOUND_S * RATE

    def add(self, frame: AudioFrame) -> None:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            self._drain()
            self._kind = kind
        if frame.time is not None:
            self._place(frame.time)
        self._begun = True
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        frame.pts = None
        self._resample(frame)

    def sound(self) -> Sound:
        """All samples, without a copy."""
        self._drain()
        return np.frombuffer(self._samples, dtype=np.int16)[: MAX_SOUND_S * RATE]

    def _place(self, time_s: float) -> None:
        """Bring the next sample to the clock: silence for a gap, a cut for what is too much."""
        ahead_s = time_s - self._shift_s - self._position / RATE
        if self._begun and -_SLACK_S <= ahead_s <= _SLACK_S:
            return
        self._drain()
        ahead_s = time_s - self._shift_s - self._position / RATE
        lowest_s = -_MAX_BACK_S if self._begun else -_MAX_STEP_S
        if not lowest_s <= ahead_s <= _MAX_STEP_S:
            self._shift_s = time_s - self._position / RATE
            return
        target = self._position + round(ahead_s * RATE)
        if target >= 0:
            del self._samples[target:]
            missing = min(target, MAX_SOUND_S * RATE) - len(self._samples)
            self._samples.frombytes(bytes(2 * missing))
        self._position = target

    def _drain(self) -> None:
        if self._resampler is not None:
            self._resample(None)
            self._resampler = None

    def _resample(self, frame: AudioFrame | None) -> None:
        try:
            parts = self._resampler.resample(frame)
        except (av.FFmpegError, ValueError):
            self._resampler = None
            return
        for part in parts:
            block = part.to_ndarray()[0]
            unheard = min(len(block), max(0, -self._position))
            self._samples.frombytes(block[unheard:].tobytes())
            self._position += len(block)


def _frames(container: InputContainer) -> Iterator[AudioFrame]:
    """Every frame of the first track that can be decoded."""
    stream = next(iter(container.streams.audio), None)
    if stream is None or not stream.codec_context:
        return
    stream.codec_context.thread_type = "NONE"
    packets, errors = container.demux(stream), 0
    while errors < _MAX_DEMUX_ERRORS:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, ValueError):
            errors += 1
            packets = container.demux(stream)  # the generator ended with its error
            continue
        errors = 0
        if packet.is_corrupt:
            continue
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            continue
        yield from (frame for frame in frames if not frame.is_corrupt and frame.sample_rate > 0)
