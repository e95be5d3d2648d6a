import stat
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from ophora_curation.detectors import Detectors
from ophora_curation.errors import DetectorMissing, SettingsError, VideoRefused
from ophora_curation.picture.preview import preview_video
from ophora_curation.settings import CurationSettings

SETTINGS = CurationSettings()


def write_video(path: Path, *, seconds: int, text_until_s: int = 0) -> Path:
    """Moving grey tissue at 1440x960 and 4 fps; a name stands at the top for a while."""
    rng = np.random.default_rng(4)
    tissue = cv2.GaussianBlur(rng.integers(60, 200, (960, 1600, 3), dtype=np.uint8), (0, 0), 5)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(4), options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1440, 960, "yuv420p"
        stream.thread_count = 1
        for index in range(seconds * 4):
            picture = tissue[:, index : index + 1440].copy()
            if index < text_until_s * 4:
                spot, font = (60, 100), cv2.FONT_HERSHEY_SIMPLEX
                cv2.putText(picture, "DOE, JANE 04.03.1957", spot, font, 2, (255, 255, 255), 4)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@dataclass
class FakeDetectors:
    """No text anywhere; a face where it is told to see one."""

    face: Any = None
    seen: list[tuple[int, ...]] = field(default_factory=list)
    overlay: Any = None
    faces: Any = None

    def __post_init__(self) -> None:
        self.overlay = self.faces = self

    def find(self, picture: np.ndarray[Any, Any]) -> list[Any]:
        self.seen.append(picture.shape)
        is_frame = picture.shape[:2] == (480, 720)
        if isinstance(self.face, Exception):
            raise self.face
        return [(self.face, 0.9)] if self.face and is_frame else []


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "one.mp4", seconds=7)


def test_burned_in_text_is_listed_for_its_time_and_masked_in_the_sheet(tmp_path: Path) -> None:
    video, sheet = write_video(tmp_path / "v.mp4", seconds=7, text_until_s=5), tmp_path / "s.png"
    sheet.write_bytes(b"old")
    sheet.chmod(0o644)
    preview = preview_video(video, settings=SETTINGS, detectors=Detectors(SETTINGS), sheet=sheet)
    assert (preview.width, preview.height) == (720, 480)
    (first_s, first_end_s, found), (second_s, second_end_s, none) = preview.chunks
    assert (first_s, first_end_s, second_s, second_end_s) == (0.0, 5.0, 5.0, 7.0)
    assert none == ()
    assert {item.kind for item in found} <= {"personal", "unread"}
    assert all(item.masked for item in found)
    left, top, right, bottom = found[0].box
    assert left < 60 < 200 < right + 40
    assert top < 45 < bottom < 90
    assert "DOE" not in repr(preview)
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    shown = cv2.imread(str(sheet))
    assert shown is not None
    tile = round(256 * 480 / 720)
    assert shown.shape == (4 * tile, 5 * 256, 3)
    assert shown[:40, :160].max() > 220  # text, framed
    assert shown[tile : tile + 40, :160].max() < 215  # the same, masked
    assert not list(tmp_path.glob(".part-*"))


def test_a_face_holds_the_clip(clean: Path) -> None:
    detectors: Any = FakeDetectors(face=(10, 20, 70, 90))
    preview = preview_video(clean, settings=SETTINGS, detectors=detectors)
    found = [item for chunk in preview.chunks for item in chunk.findings if item.kind == "face"]
    assert found
    assert found[0].box == (10, 20, 70, 90)
    assert not any(item.masked for item in found)


def test_a_detector_that_breaks_is_a_finding(clean: Path) -> None:
    detectors: Any = FakeDetectors(face=RuntimeError("broken"))
    preview = preview_video(clean, settings=SETTINGS, detectors=detectors)
    for chunk in preview.chunks:
        assert [item.kind for item in chunk.findings] == ["overlay-detector-failed"]
        assert chunk.findings[0].box == (0, 0, 720, 480)
        assert not chunk.findings[0].masked


def test_layouts_are_masked_and_listed(clean: Path, tmp_path: Path) -> None:
    settings = CurationSettings(layouts=("1440x960 0 0 1 0.1", "720x480 0 0.5 1 1"))
    detectors: Any = FakeDetectors()
    sheet = tmp_path / "sheet.png"
    preview = preview_video(clean, settings=settings, detectors=detectors, sheet=sheet)
    assert [item.box for item in preview.chunks[0].findings] == [(0, 0, 720, 48)]
    shown = cv2.imread(str(sheet))
    assert shown is not None
    tile = round(256 * 480 / 720)
    assert shown[tile : tile + 15, :1280].max() == 0
    assert shown[tile + 20 : 2 * tile, :1280].min() > 0


def test_what_can_not_be_looked_at_is_an_error(clean: Path, tmp_path: Path) -> None:
    detectors: Any = FakeDetectors()
    (tmp_path / "no.mp4").write_bytes(b"no video at all" * 20)
    with pytest.raises(VideoRefused):
        preview_video(tmp_path / "no.mp4", settings=SETTINGS, detectors=detectors)
    wrong = CurationSettings(layouts=("everywhere",))
    with pytest.raises(SettingsError, match="layouts="):
        preview_video(clean, settings=wrong, detectors=detectors)


def test_a_missing_detector_is_an_error_before_any_sheet(clean: Path, tmp_path: Path) -> None:
    class Missing(FakeDetectors):
        def __getattribute__(self, name: str) -> Any:
            if name == "faces":
                raise DetectorMissing("face detector missing: install it")
            return super().__getattribute__(name)

    detectors: Any = Missing()
    with pytest.raises(DetectorMissing, match="install it"):
        preview_video(clean, settings=SETTINGS, detectors=detectors, sheet=tmp_path / "s.png")
    assert not (tmp_path / "s.png").exists()
