"""Clips as files: frames at a preset's size and rate in, H.264 without metadata out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ophora_model.draft import draft_of
from ophora_model.errors import PlanInvalid, VideoUnreadable

Frames = NDArray[np.uint8]  # [F, H, W, 3] RGB
FRAME_FIT = "nearest in time, centre crop, AREA"  # in the latents' keys: change it with the code


def check_frame_count(name: str, value: int) -> None:
    """Raises `PlanInvalid` unless `value` is 8k+1: the autoencoder returns other counts changed."""
    if value < 1 or value % 8 != 1:
        low = max(1, (value - 1) // 8 * 8 + 1)
        raise PlanInvalid(f"{name}={value}: must be 8k+1; the nearest are {low} and {low + 8}")


def read_frames(path: Path, *, frames: int, height: int, width: int, fps: float) -> Frames:
    """[frames, height, width, 3]: the clip from its start at `fps`, cropped to the aspect.

    A clip that is shorter than `frames / fps` is spread evenly over what there is; none is repeated
    unless the clip has fewer frames than asked for. Raises `VideoUnreadable`.
    """
    import av

    try:
        with av.open(str(path), format="mp4") as container:
            stream = container.streams.video[0]
            stream.thread_type = "NONE"
            decoded = [
                (frame.time or 0.0, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                for frame in container.decode(stream)
            ]
    except (av.FFmpegError, IndexError, OSError) as error:
        raise VideoUnreadable(
            f"clip can't be decoded ({type(error).__name__}): curate it again"
        ) from error
    if not decoded:
        raise VideoUnreadable("clip has no frames: curate it again")
    times = np.array([time for time, _ in decoded])
    span = min((frames - 1) / fps, float(times[-1] - times[0]))
    wanted = times[0] + np.linspace(0, span, frames)
    picked = [decoded[int(np.abs(times - time).argmin())][1] for time in wanted]
    return np.stack([fit_frame(frame, height, width) for frame in picked])


def write_video(path: Path, frames: Frames, fps: float) -> None:
    """Writes H.264 in MP4 with no metadata, under a temporary name renamed once it is whole."""
    from fractions import Fraction

    import av

    with (
        draft_of(path) as part,
        av.open(str(part), "w", format="mp4", options={"fflags": "+bitexact"}) as container,
    ):
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {
            "crf": "12",
            "preset": "medium",
            "flags": "+bitexact",
            "x264-params": "weightp=0:mbtree=0",  # both make equal frames encode to other bytes
        }
        for image in frames:
            container.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                )
            )
        container.mux(stream.encode(None))


def fit_frame(frame: Frames, height: int, width: int) -> Frames:
    """Centre-crops to the aspect and scales with area averaging."""
    from av import VideoFrame

    have_h, have_w = frame.shape[:2]
    wide = min(have_w, round(have_h * width / height))
    high = min(have_h, round(have_w * height / width))
    top, left = (have_h - high) // 2, (have_w - wide) // 2
    crop = np.ascontiguousarray(frame[top : top + high, left : left + wide])
    scaled = VideoFrame.from_ndarray(crop, format="rgb24").reformat(
        width=width, height=height, interpolation="AREA"
    )
    return np.asarray(scaled.to_ndarray(format="rgb24"), np.uint8)
