"""Frames that come out of damaged files, and whether the lost ones are counted.

Six files are made and damaged here. At least so many frames as a plain packet-by-packet loop over
PyAV gives must come out, and what came out and what is counted as lost must add up to the claim.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from goals import Goal, share
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import probe_video
from ophora_curation.source.reader import open_reader

FRAMES = 240
SIZE = (640, 360)
_SETTINGS = CurationSettings(min_width=64, min_height=48, max_damaged_share=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One damaged file. `does_count` where its container says how many frames it has."""

    name: str
    kind: str
    demuxer: str
    harm: Callable[[bytearray, np.random.Generator], bytes]
    does_count: bool = True


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """One row for each file and one for the counts."""
    del quick  # takes seconds
    folder.mkdir(parents=True, exist_ok=True)
    goals, adding_up, counted = [], 0, 0
    for case in CASES:
        path = folder / f"{case.name}.bin"
        write_clip(path, case.kind, seed)
        path.write_bytes(case.harm(bytearray(path.read_bytes()), np.random.default_rng(seed)))
        least = plain_count(path, case.demuxer)
        reader = open_reader(path, probe_video(path, settings=_SETTINGS))
        got = sum(1 for _ in reader)
        goals.append(
            Goal(
                what=f"frames of {FRAMES} out of {case.name.replace('-', ' ')}",
                measured=float(got),
                samples=FRAMES,
                at_least=float(least),
            )
        )
        if case.does_count:
            counted += 1
            adding_up += got + reader.num_lost == FRAMES
    return [*goals, share("files whose lost frames are counted", adding_up, counted)]


def plain_count(path: Path, demuxer: str) -> int:
    """Frames from PyAV, packet by packet, each in its own try."""
    count = 0
    with av.open(str(path), format=demuxer) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        packets = container.demux(stream)
        while True:
            try:
                count += len(next(packets).decode())
            except StopIteration:
                return count
            except av.FFmpegError:
                continue


def write_clip(path: Path, kind: str, seed: int) -> None:
    """Moving coloured patches with noise, 24 frames a second, a key frame every two."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 236, (6, 20, 3), dtype=np.uint8)
    wide = cv2.resize(coarse, (SIZE[0] * 2, SIZE[1]), interpolation=cv2.INTER_CUBIC)
    options = {"movflags": "faststart"} if kind == "mp4" else {}
    with av.open(str(path), "w", format=kind, options=options) as container:
        stream = container.add_stream("libx264", rate=24, options={"g": "48", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(FRAMES):
            view = np.roll(wide, -2 * index, axis=1)[:, : SIZE[0]].astype(np.int16)
            view += rng.integers(-6, 7, (*view.shape[:2], 1), dtype=np.int16)
            picture = np.clip(view, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _cut_off(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: int(len(data) * 0.45)])


def _punch_hole(data: bytearray, rng: np.random.Generator) -> bytes:
    start = int(len(data) * 0.4)
    data[start : start + 60_000] = bytes(60_000)
    return bytes(data)


def _flip(data: bytearray, rng: np.random.Generator) -> bytes:
    for at in rng.integers(len(data) // 10, len(data), 400):
        data[int(at)] ^= 1 << int(rng.integers(8))
    return bytes(data)


CASES = (
    Case(name="a-truncated-mp4", kind="mp4", demuxer="mov", harm=_cut_off),
    Case(name="an-mp4-with-a-hole", kind="mp4", demuxer="mov", harm=_punch_hole),
    Case(name="an-mp4-with-400-flipped-bits", kind="mp4", demuxer="mov", harm=_flip),
    Case(
        name="a-truncated-mkv",
        kind="matroska",
        demuxer="matroska",
        harm=_cut_off,
        does_count=False,
    ),
    Case(name="an-avi-with-a-hole", kind="avi", demuxer="avi", harm=_punch_hole),
    Case(
        name="a-ts-with-400-flipped-bits",
        kind="mpegts",
        demuxer="mpegts",
        harm=_flip,
        does_count=False,
    ),
)
