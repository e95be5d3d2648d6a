"""Clips of synthetic tissue with burned-in lines, with the real text detector."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ophora_curation.errors import DetectorMissing, RefinerFailed
from ophora_curation.picture.clip_maker import ClipMaker, MadeClip
from ophora_curation.picture.text_detector import TextDetector
from ophora_curation.settings import CurationSettings

Picture = npt.NDArray[np.uint8]
LINE = (20, 250)  # base line's left end, at 480 x 320


class NoFaces:
    def find(self, picture: Picture) -> list[tuple[tuple[int, int, int, int], float]]:
        return []


class OneFace:
    def find(self, picture: Picture) -> list[tuple[tuple[int, int, int, int], float]]:
        return [((100, 40, 180, 140), 0.9)]


class Doubting:
    def __init__(self, answer: tuple[str, ...] | None) -> None:
        self._answer = answer
        self.shown: list[Picture] = []

    def doubts(self, pictures: Sequence[Picture]) -> tuple[str, ...]:
        self.shown += pictures
        if self._answer is None:
            raise RefinerFailed("down")
        return self._answer


@pytest.fixture(scope="module")
def detector() -> TextDetector:
    return TextDetector()


def tissue(
    text: str = "", frames: int = 24, size: tuple[int, int] = (480, 320), when: range | None = None
) -> Iterator[Picture]:
    rng = np.random.default_rng(3)
    width, height = size
    for index in range(frames):
        picture = np.full((height, width, 3), (190, 120, 100), np.uint8)
        picture += rng.integers(0, 30, picture.shape, dtype=np.uint8)
        cv2.circle(picture, (width // 2 + index % 5, height // 3), height // 4, (90, 40, 30), -1)
        if when is None or index in when:
            spot = (LINE[0] * width // 480, LINE[1] * height // 320)
            cv2.putText(picture, text, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
        yield picture


@pytest.fixture
def make(tmp_path: Path, detector: TextDetector) -> Callable[..., MadeClip]:
    def made(
        pictures: Iterator[Picture], faces: object = None, text: object = None, **values: object
    ) -> MadeClip:
        vision = values.pop("vision", None)
        find_text = text if callable(text) else lambda: detector
        find_faces = faces if callable(faces) else NoFaces
        maker = ClipMaker(
            folder=tmp_path,
            text=find_text,
            faces=find_faces,
            settings=CurationSettings(**values),  # type: ignore[arg-type]
            vision=vision,  # type: ignore[arg-type]
        )
        return maker.make(
            pictures, clip_id="ab12", fps=Fraction(8), brightest=None, source_size=(480, 320)
        )

    return made


def decoded(made: MadeClip) -> list[Picture]:
    assert made.path is not None
    with av.open(made.path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def missing() -> object:
    raise DetectorMissing("no model")


@pytest.mark.parametrize(
    ("text", "tier", "reasons"),
    [
        ("", "p2ft", ()),
        ("PHACO 40  VAC 310", "tpt", ("overlay-device",)),
        ("SURGICAM", "tpt", ("overlay-logo",)),
        ("DOE, JANE 4471023", "tpt", ("overlay-masked",)),
    ],
)
def test_what_is_burned_in_decides_the_tier(
    make: Callable[..., MadeClip], text: str, tier: str, reasons: tuple[str, ...]
) -> None:
    made = make(tissue(text))
    assert (made.tier, made.reasons, made.residual) == (tier, reasons, 0)
    assert (made.width, made.height, made.frames) == (480, 320, 24)


def test_personal_lines_lie_under_a_flat_mask_in_every_frame(
    make: Callable[..., MadeClip],
) -> None:
    made = make(tissue("DOE, JANE 4471023"))
    (ink, _), _ = cv2.getTextSize("DOE, JANE 4471023", cv2.FONT_HERSHEY_SIMPLEX, 0.7, 2)
    for picture in decoded(made):
        line = picture[LINE[1] - 16 : LINE[1] + 4, LINE[0] : LINE[0] + ink]
        assert line.max() < 40
    assert all(finding.masked for finding in made.findings)


def test_a_line_that_shows_for_a_second_is_found(make: Callable[..., MadeClip]) -> None:
    made = make(tissue("DOE, JANE 4471023", when=range(8, 16)))
    assert made.reasons == ("overlay-masked",)


def test_a_site_may_want_a_person_to_see_every_personal_line(
    make: Callable[..., MadeClip],
) -> None:
    made = make(tissue("DOE, JANE 4471023"), personal_overlay="quarantine")
    assert (made.tier, made.reasons) == ("quarantine", ("overlay-personal",))
    assert made.residual > 0


@pytest.mark.parametrize(
    ("which", "reason"),
    [("text", "overlay-detector-failed"), ("faces", "face-detector-failed")],
)
def test_a_detector_that_is_missing_holds_the_clip(
    make: Callable[..., MadeClip], which: str, reason: str
) -> None:
    made = make(tissue(), **{which: missing})
    assert (made.tier, made.reasons) == ("quarantine", (reason,))


def test_a_face_holds_the_clip_and_is_hidden(make: Callable[..., MadeClip]) -> None:
    made = make(tissue(), faces=OneFace)
    assert (made.tier, made.reasons) == ("quarantine", ("face",))
    assert decoded(made)[5][50:130, 110:170].max() < 40


def test_a_mask_over_a_quarter_of_the_picture_holds_the_clip(
    make: Callable[..., MadeClip],
) -> None:
    def pages() -> Iterator[Picture]:
        for picture in tissue(frames=12):
            for row in range(8):
                spot = (6, 36 + 38 * row)
                words = "JANE DOE RECORD 4471023"
                cv2.putText(picture, words, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)
            yield picture

    made = make(pages())
    assert (made.tier, made.reasons) == ("quarantine", ("overlay-large",))


def test_layouts_are_masked_and_unknown_ones_held(make: Callable[..., MadeClip]) -> None:
    made = make(tissue(), layouts=("480x320 0 0 1 0.1",))
    assert (made.tier, made.reasons) == ("tpt", ("layout-masked",))
    assert decoded(made)[3][:28].max() < 40
    held = make(tissue(), layouts=("1920x1080 0 0 1 0.1",), only_known_layouts=True)
    assert (held.tier, held.reasons) == ("quarantine", ("unknown-layout",))


def test_pictures_are_scaled_down_and_never_up(make: Callable[..., MadeClip]) -> None:
    made = make(tissue(size=(1280, 720), frames=8))
    assert (made.width, made.height) == (720, 404)
    assert (make(tissue(frames=8)).width, make(tissue(frames=8)).height) == (480, 320)


@pytest.mark.parametrize(
    ("answer", "tier", "reasons"),
    [
        ((), "p2ft", ()),
        (("face",), "quarantine", ("vision-doubt",)),
        (None, "quarantine", ("vision-failed",)),
    ],
)
def test_the_sites_own_model_can_hold_a_clip(
    make: Callable[..., MadeClip], answer: tuple[str, ...] | None, tier: str, reasons: object
) -> None:
    vision = Doubting(answer)
    made = make(tissue(), vision=vision)
    assert (made.tier, made.reasons) == (tier, reasons)
    assert len(vision.shown) == 3


def test_no_pictures_make_no_clip(make: Callable[..., MadeClip], tmp_path: Path) -> None:
    made = make(iter(()))
    assert (made.tier, made.reasons, made.path) == ("rejected", ("no-frames",), None)
    assert list(tmp_path.iterdir()) == []
