"""Frames and sound into one H.264 + AAC MP4 with container tags."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from ophora_curation.phantom.brush import Image

BLOCK = 1024  # samples per AAC frame
# With either of these on, x264's output on small pictures differs from run to run (measured:
# eight results from sixteen encodings of the same frames), even with one thread.
X264 = "weightp=0:mbtree=0"


def write_mp4(
    path: Path,
    frames: Iterable[tuple[int, Image]],
    *,
    fps: int,
    size: tuple[int, int],
    sound: NDArray[np.int16],
    sample_rate: int,
    tags: Mapping[str, str],
    rotation: int = 0,
    crf: int = 17,
    bit_rate: int = 0,
) -> None:
    """Write `frames` (RGB, height x width of `size`) and mono `sound`; the name appears once done.

    Each frame comes with its number; numbers may be left out. Players turn the picture by
    `rotation` degrees. With a `bit_rate` (bits a second) the pictures get no more, as in a
    recorder; without, the quality is constant. Same input, same decoded frames: one encoder thread.
    """
    partial = path.with_name(f".{path.name}.partial")
    options = {"movflags": "use_metadata_tags+faststart"}
    try:
        with av.open(str(partial), "w", format="mp4", options=options) as container:
            container.metadata.update(tags)
            video = _add_video(container, fps, size, _quality(crf, bit_rate))
            if rotation:
                video.set_display_rotation(rotation)
            _fill(container, video, frames, fps, sound, sample_rate)
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _add_video(
    container: av.container.OutputContainer,
    fps: int,
    size: tuple[int, int],
    quality: Mapping[str, str],
) -> av.VideoStream:
    video = container.add_stream("libx264", rate=fps)
    video.width, video.height = size
    video.pix_fmt = "yuv420p"
    video.codec_context.thread_count = 1
    video.codec_context.time_base = Fraction(1, fps)
    keyframes = str(fps * 2)
    video.options = {"preset": "veryfast", "g": keyframes, "x264-params": X264, **quality}
    return video


def _quality(crf: int, bit_rate: int) -> dict[str, str]:
    if not bit_rate:
        return {"crf": str(crf)}
    return {"crf": str(crf), "maxrate": str(bit_rate), "bufsize": str(bit_rate)}


def _fill(
    container: av.container.OutputContainer,
    video: av.VideoStream,
    frames: Iterable[tuple[int, Image]],
    fps: int,
    sound: NDArray[np.int16],
    sample_rate: int,
) -> None:
    """Pictures and sound side by side, so that neither waits long for the other."""
    audio = container.add_stream("aac", rate=sample_rate, layout="mono")
    audio.bit_rate = 48_000
    audio.options = {"aac_coder": "fast"}
    played = 0
    for index, image in frames:
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, fps)
        container.mux(video.encode(frame))
        until = min(len(sound), (index + 1) * sample_rate // fps // BLOCK * BLOCK)
        played = _play(container, audio, sound, played, until)
    _play(container, audio, sound, played, len(sound))
    container.mux(video.encode(None))
    container.mux(audio.encode(None))


def _play(
    container: av.container.OutputContainer,
    audio: av.AudioStream,
    sound: NDArray[np.int16],
    start: int,
    until: int,
) -> int:
    for begin in range(start, until, BLOCK):
        block = sound[begin : min(begin + BLOCK, until)]
        frame = av.AudioFrame.from_ndarray(block[None, :], format="s16", layout="mono")
        frame.sample_rate = audio.rate
        frame.pts, frame.time_base = begin, Fraction(1, audio.rate)
        container.mux(audio.encode(frame))
    return max(start, until)
