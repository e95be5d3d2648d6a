"""The motion score against dense Farneback flow, on real clips.

Both are averaged over windows of two seconds and compared by rank. Farneback sees every frame at
320 x 180 and its mean length counts; ours is what `observe` keeps of DIS at 160 x 90.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from curation_parts.clips import ClipsUnreachable, real_clips
from goals import Goal, not_measured
from ophora_curation.footage.observation import observe
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import probe_video
from ophora_curation.source.reader import open_reader

LEAST_CORRELATION = 0.84
CLIPS = {
    "bikes.mp4": 10.0,
    "carphone_pristine.mp4": 10.0,
    "world.mp4": 31.0,
    "b.mp4": 10.0,
    "bbb.mp4": 180.0,
}  # how many seconds of each
_WINDOW_S = 2.0
_WHAT = "rank correlation with Farneback on every frame"
_SETTINGS = CurationSettings(min_width=64, min_height=48)

Floats = npt.NDArray[np.float64]


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Spearman's coefficient over all windows."""
    del seed  # nothing is drawn
    names = [name for name in CLIPS if not quick or name != "bbb.mp4"]
    try:
        clips = real_clips(folder, names)
    except ClipsUnreachable as error:
        sys.stderr.write(f"motion: {error}\n")
        return [not_measured(_WHAT)]
    pairs = [pair for name in names for pair in compare(clips[name], CLIPS[name])]
    ours, theirs = np.array(pairs).T
    correlation = float(np.corrcoef(_ranks(ours), _ranks(theirs))[0, 1])
    return [Goal(what=_WHAT, measured=correlation, samples=len(pairs), at_least=LEAST_CORRELATION)]


def compare(video: Path, most_s: float) -> list[tuple[float, float]]:
    """Our mean motion and Farneback's in every window."""
    probe = probe_video(video, settings=_SETTINGS)
    seen = observe(open_reader(video, probe, fast=True), fps=float(probe.fps), settings=_SETTINGS)
    lengths: list[float] = []
    before: npt.NDArray[np.uint8] | None = None
    for frame in open_reader(video, probe):
        if frame.time_s > most_s:
            break
        now = np.asarray(cv2.resize(frame.planes().y, (320, 180), interpolation=cv2.INTER_AREA))
        lengths.append(0.0 if before is None else _farneback(before, now))
        before = now
    reference = np.array(lengths) * float(probe.fps)
    windows = (seen.times_s[: len(lengths)] // _WINDOW_S).astype(int)
    pairs = []
    for window in range(windows.max() + 1):
        part = np.flatnonzero(windows == window)
        if part.size >= _WINDOW_S * float(probe.fps) * 0.9:
            pairs.append((float(seen.motion[part].mean()), float(reference[part].mean())))
    return pairs


def _farneback(before: npt.NDArray[np.uint8], now: npt.NDArray[np.uint8]) -> float:
    flow = cv2.calcOpticalFlowFarneback(before, now, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    return float(np.hypot(flow[..., 0], flow[..., 1]).mean())


def _ranks(values: Floats) -> Floats:
    """Ranks, the mean one for equal values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + last - 1) / 2)[inverse].astype(np.float64)
