"""One video with faked detectors: what happens when a detector is missing or breaks."""

from pathlib import Path

import pytest

from ophora_curation.detectors import Detectors
from ophora_curation.errors import DetectorMissing
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.settings import CurationSettings
from ophora_curation.text.deidentify import SafeText
from ophora_curation.video import VideoCurator, VideoJob


class FakeText:
    def clean(self, text: str) -> SafeText:
        return SafeText(("polish the posterior capsule",), ())


class FakeOverlay:
    def find(self, picture: object) -> list[object]:
        return []


class BrokenOverlay:
    def find(self, picture: object) -> list[object]:
        raise ValueError("a box of Mary Poe")


class FakeDetectors(Detectors):
    def __init__(self, text: object, overlay: object) -> None:
        super().__init__()
        self._fakes = {"text": text, "overlay": overlay}

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
    ("text", "overlay", "tiers", "reasons"),
    [
        (FakeText(), FakeOverlay(), {"p2ft"}, set()),
        (FakeText(), BrokenOverlay(), {"quarantine"}, {"overlay-detector-failed"}),
        (FakeText(), None, {"quarantine"}, {"overlay-detector-failed"}),
        (None, FakeOverlay(), {"quarantine"}, {"no-text-detector"}),
    ],
)
def test_a_missing_or_broken_detector_holds_its_clips(
    video: Path, tmp_path: Path, text: object, overlay: object, tiers: set[str], reasons: set[str]
) -> None:
    curator = VideoCurator(
        settings=CurationSettings(min_width=160, min_height=96),
        key=bytes(32),
        clips=tmp_path,
        detectors=FakeDetectors(text, overlay),
    )
    job = VideoJob(path=video, video_id="v", patient_id="p", sha256="s", recipe="r")
    outcome = curator.curate(job)
    assert outcome.video.status == "curated"
    assert {clip.tier for clip in outcome.clips} == tiers
    assert {reason for clip in outcome.clips for reason in clip.reasons} == reasons
    written = len(outcome.clips) if tiers == {"p2ft"} else 0
    assert len(list(tmp_path.iterdir())) == written


def test_a_video_without_sound_and_subtitles_is_refused(video: Path, tmp_path: Path) -> None:
    import av

    silent = tmp_path / "silent.mp4"
    with av.open(video) as source, av.open(silent, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    curator = VideoCurator(
        settings=CurationSettings(min_width=160, min_height=96),
        key=bytes(32),
        clips=tmp_path,
        detectors=FakeDetectors(FakeText(), FakeOverlay()),
    )
    job = VideoJob(path=silent, video_id="v", patient_id="p", sha256="s", recipe="r")
    assert curator.curate(job).video.reasons == ("no-narration",)
