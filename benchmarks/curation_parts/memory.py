"""Memory of a worker that only looks, on a short and on a long video of the same picture.

The long video repeats the packets of the short one, so it costs seconds to make.
"""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av

from goals import Goal
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest

MOST_MB = 300.0
MOST_RATIO = 1.5
FPS = 30
_CHILD = """
import json, resource, sys
from pathlib import Path
from ophora_curation.footage.observation import observe
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import probe_video
from ophora_curation.source.reader import open_reader
import cv2, pickle
cv2.setNumThreads(1)
path, settings = Path(sys.argv[1]), CurationSettings(min_width=64, min_height=48)
probe = probe_video(path, settings=settings)
seen = observe(open_reader(path, probe, fast=True), fps=float(probe.fps), settings=settings)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
size = len(pickle.dumps(seen)) / 1e6
print(json.dumps({"mb": peak, "frames": seen.num_frames, "hand_over_mb": size}))
"""


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Peaks of 5 and 60 minutes (quick: 1 and 6) at 30 frames a second."""
    short, long = (1, 6) if quick else (5, 60)
    request = PhantomRequest(
        out=folder,
        patients=1,
        seed=seed,
        size=(320, 180),
        fps=FPS,
        segments=(3, 3),
        speech_share=0.0,
        voice=False,
    )
    (source,) = make_phantoms(request)
    first, second = (
        _peak(repeat(source, folder / f"{minutes}.mp4", minutes)) for minutes in (short, long)
    )
    return [
        Goal(
            what=f"peak memory over {long} minutes, MB",
            measured=second["mb"],
            samples=int(second["frames"]),
            at_most=MOST_MB,
        ),
        Goal(
            what=f"peak of {long} minutes over peak of {short}",
            measured=second["mb"] / first["mb"],
            samples=int(second["frames"]),
            at_most=MOST_RATIO,
        ),
        Goal(
            what=f"what is handed over after {long} minutes, MB",
            measured=second["hand_over_mb"],
            samples=int(second["frames"]),
            at_most=10.0,
        ),
    ]


def repeat(source: Path, path: Path, minutes: int) -> Path:
    """Copy the packets of a video until it is so long."""
    with av.open(str(source)) as given, av.open(str(path), "w", format="mp4") as made:
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        packets = [packet for packet in given.demux(stream) if packet.size]
        base = stream.time_base or Fraction(1, FPS)
        length = round(len(packets) / FPS / base)
        for turn in range(-(-minutes * 60 * FPS // len(packets))):
            for packet in packets:
                again = av.Packet(bytes(packet))
                again.stream, again.time_base = copy, base
                again.pts = (packet.pts or 0) + turn * length
                again.dts = (packet.dts or 0) + turn * length
                again.is_keyframe = packet.is_keyframe
                made.mux(again)
    return path


def _peak(video: Path) -> dict[str, float]:
    command = [sys.executable, "-c", _CHILD, str(video)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return found
