"""One video with faked detectors: what happens when a detector is missing or breaks."""

from pathlib import Path

import pytest

from ophora_curation.detectors import Detectors
from ophora_curation.errors import DetectorMissing, RefinerFailed
from ophora_curation.job import VideoJob
from ophora_curation.look import look
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.settings import CurationPaths, CurationSettings
from ophora_curation.store.records import VideoOutcome
from ophora_curation.text.deidentify import SafeText
from ophora_curation.text.refiner import RuleRefiner
from ophora_curation.video import VideoCurator

SETTINGS = CurationSettings(min_width=160, min_height=96)


class FakeText:
    def clean(self, text: str) -> SafeText:
        return SafeText(("polish the posterior capsule",), ())


class FakeOverlay:
    def find(self, picture: object) -> list[object]:
        return []


class BrokenOverlay:
    def find(self, picture: object) -> list[object]:
        raise ValueError("a box of Mary Poe")


class NoFaces:
    def find(self, picture: object) -> list[object]:
        return []


class BrokenRefiner:
    def write(self, texts: object) -> None:
        raise RefinerFailed("down")


class FakeDetectors(Detectors):
    def __init__(
        self, text: object, overlay: object, faces: object = None, refiner: object = None
    ) -> None:
        super().__init__(SETTINGS)
        self._fakes = {
            "text": text,
            "overlay": overlay,
            "faces": faces or NoFaces(),
            "refiner": refiner or RuleRefiner(),
        }

    def _get(self, name: str) -> object:
        if self._fakes[name] is None:
            raise DetectorMissing(f"{name} missing")
        return self._fakes[name]

    @property
    def text(self):  # type: ignore[no-untyped-def]
        return self._get("text")

    @property
    def overlay(self):  # type: ignore[no-untyped-def]
        return self._get("overlay")

    @property
    def faces(self):  # type: ignore[no-untyped-def]
        return self._get("faces")

    @property
    def refiner(self):  # type: ignore[no-untyped-def]
        return self._get("refiner")


def curated(video: Path, folder: Path, detectors: Detectors) -> VideoOutcome:
    out = CurationPaths(
        manifest=folder / "manifest.sqlite",
        clips=folder / "clips",
        held=folder / "held",
        certificates=folder / "certificates",
    )
    out.clips.mkdir()
    out.held.mkdir()
    curator = VideoCurator(settings=SETTINGS, key=bytes(32), out=out, detectors=detectors)
    job = VideoJob(path=video, video_id="v", patient_id="p", sha256="s", recipe="r")
    return curator.curate(job, look(job, SETTINGS))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    request = PhantomRequest(
        out=tmp_path_factory.mktemp("videos"),
        patients=1,
        seed=4,
        segments=(2, 2),
        speech_share=0.0,
        overlay_share=0.0,
        personal_overlay_share=0.0,
        fault_share=0.0,
        voice=False,
    )
    return make_phantoms(request)[0]


@pytest.mark.parametrize(
    ("detectors", "tiers", "reasons", "folder"),
    [
        (FakeDetectors(FakeText(), FakeOverlay()), {"p2ft"}, set(), "clips"),
        (
            FakeDetectors(FakeText(), BrokenOverlay()),
            {"quarantine"},
            {"overlay-detector-failed"},
            "held",
        ),
        (FakeDetectors(FakeText(), None), {"quarantine"}, {"overlay-detector-failed"}, "held"),
        (
            FakeDetectors(FakeText(), FakeOverlay(), faces=BrokenOverlay()),
            {"quarantine"},
            {"face-detector-failed"},
            "held",
        ),
        (FakeDetectors(None, FakeOverlay()), {"quarantine"}, {"no-text-detector"}, ""),
        (
            FakeDetectors(FakeText(), FakeOverlay(), refiner=BrokenRefiner()),
            {"quarantine"},
            {"no-refiner"},
            "",
        ),
    ],
)
def test_a_missing_or_broken_detector_holds_its_clips(
    video: Path,
    tmp_path: Path,
    detectors: Detectors,
    tiers: set[str],
    reasons: set[str],
    folder: str,
) -> None:
    outcome = curated(video, tmp_path, detectors)
    assert outcome.video.status == "curated"
    assert {clip.tier for clip in outcome.clips} == tiers
    assert {reason for clip in outcome.clips for reason in clip.reasons} == reasons
    for name in ("clips", "held"):
        wanted = {f"{clip.clip_id}.mp4" for clip in outcome.clips} if name == folder else set()
        assert {path.name for path in (tmp_path / name).iterdir()} == wanted


def test_a_row_says_what_was_seen_and_said(video: Path, tmp_path: Path) -> None:
    outcome = curated(video, tmp_path, FakeDetectors(FakeText(), FakeOverlay()))
    assert (outcome.video.codec, outcome.video.narration) == ("h264", "sidecar")
    for clip in outcome.clips:
        assert clip.residual == 0
        assert clip.frames == round((clip.end_s - clip.start_s) * clip.fps)
        assert clip.fingerprint
        assert clip.lineage["instruction_by"] == "rules"
        assert 0 < clip.confidence <= 1


def test_a_video_without_sound_and_subtitles_is_refused(video: Path, tmp_path: Path) -> None:
    import av

    silent = tmp_path / "silent.mp4"
    with av.open(video) as source, av.open(silent, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    outcome = curated(silent, tmp_path, FakeDetectors(FakeText(), FakeOverlay()))
    assert outcome.video.reasons == ("no-narration",)
