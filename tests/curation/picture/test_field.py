import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ophora_curation.picture.field import Field, find_field

Small = npt.NDArray[np.uint8]


def lit(height: int = 90, width: int = 160, seed: int = 2) -> Small:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.integers(90, 240, (height, width)), dtype=np.uint8)


def round_field(
    centre: tuple[float, float], radius: float, *, squash: float = 1.0, black: int = 8
) -> Small:
    luma = lit()
    y, x = np.mgrid[0:90, 0:160] + 0.5
    outside = ((x - centre[0]) / squash) ** 2 + (y - centre[1]) ** 2 > radius**2
    luma[outside] = np.random.default_rng(5).integers(0, black, int(outside.sum()))
    return luma


def write(luma: Small, text: str, spot: tuple[int, int], scale: float = 0.25) -> Small:
    cv2.putText(luma, text, spot, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1)
    return luma


@pytest.mark.parametrize(
    ("centre", "radius", "squash"),
    [
        ((80, 45), 42, 1.0),  # whole
        ((80, 45), 60, 1.0),  # cut off above and below
        ((66, 50), 48, 1.0),  # off centre
        ((80, 45), 84, 1.0),  # only the corners are dark
        ((80, 45), 38, 1.25),  # pixels that are not square
    ],
)
def test_a_round_field_is_found(centre: tuple[float, float], radius: float, squash: float) -> None:
    field = find_field(round_field(centre, radius, squash=squash))
    assert field is not None
    assert field.kind == "circle"
    assert field.ellipse is not None
    x, y, radius_x, radius_y = np.array(field.ellipse) * [160, 90, 160, 90]
    assert abs(x - centre[0]) < 1.5
    assert abs(y - centre[1]) < 1.5
    assert abs(radius_x - radius * squash) < 2
    assert abs(radius_y - radius) < 2


def test_text_in_the_black_corners_does_not_widen_the_field() -> None:
    plain = find_field(round_field((80, 45), 42))
    luma = round_field((80, 45), 42)
    for spot in [(0, 8), (112, 8), (0, 88), (118, 86)]:
        write(luma, "DOE J 1957", spot)
    field = find_field(luma)
    assert plain is not None
    assert field is not None
    assert np.allclose(field.box, plain.box, atol=0.015)


def test_text_that_touches_the_field_is_cut_off() -> None:
    luma = write(round_field((80, 45), 42), "MRN 4471 JANE", (0, 40), 0.3)
    luma[:, 120:][round_field((80, 45), 42)[:, 120:] > 50] = 200
    field = find_field(luma)
    assert field is not None
    assert field.box[0] * 160 > 36


@pytest.mark.parametrize(
    ("rows", "columns"),
    [((10, 80), (0, 160)), ((0, 90), (20, 140)), ((8, 82), (12, 160)), ((0, 84), (0, 160))],
)
def test_bars_are_cut_off(rows: tuple[int, int], columns: tuple[int, int]) -> None:
    luma = np.full((90, 160), 3, np.uint8)
    luma[slice(*rows), slice(*columns)] = lit()[slice(*rows), slice(*columns)]
    field = find_field(luma)
    assert field is not None
    assert field.kind == "box"
    assert field.ellipse is None
    found = np.array(field.box) * [160, 90, 160, 90]
    assert np.allclose(found, [columns[0], rows[0], columns[1], rows[1]], atol=1.01)


def no_field() -> dict[str, Small | None]:
    half = lit()
    half[np.add.outer(np.arange(90), np.arange(160)) > 125] = 0
    spots = np.zeros((90, 160), np.uint8)
    spots[10:40, 10:30] = spots[50:80, 120:140] = 200
    dim = np.clip(lit() * np.hypot(*np.mgrid[-1:1:90j, -1:1:160j])[::-1] + 45, 0, 255)
    y, x = np.mgrid[-1:1:90j, -1:1:160j]
    dark = np.clip((np.hypot(0.9 * x, 0.8 * y) - 0.7) / 0.4, 0, 1)
    vignette = 130 * (1 - 0.95 * dark * dark * (3 - 2 * dark))
    return {
        "nothing to look at": None,
        "a vignette": vignette.astype(np.uint8),
        "lit to its edges": lit(),
        "a dim rim": dim.astype(np.uint8),
        "black": np.zeros((90, 160), np.uint8),
        "two spots": spots,
        "a diagonal": half,
        "tiny": np.full((8, 8), 200, np.uint8),
        "text alone": write(np.zeros((90, 160), np.uint8), "NO SIGNAL", (20, 50), 0.8),
    }


@pytest.mark.parametrize("name", list(no_field()))
def test_what_is_not_clear_has_no_field(name: str) -> None:
    assert find_field(no_field()[name]) is None


def test_applying_a_round_field_blackens_its_surroundings_and_crops() -> None:
    field = find_field(write(round_field((80, 45), 42), "DOE J", (0, 8)))
    assert field is not None
    picture = np.full((1080, 1920, 3), 200, np.uint8)
    cv2.putText(picture, "DOE JANE", (20, 100), cv2.FONT_HERSHEY_SIMPLEX, 3, (255, 255, 255), 9)
    cut = field.apply(picture)
    height, width = cut.shape[:2]
    assert height % 2 == width % 2 == 0
    assert abs(width - 84 * 12) < 36
    assert abs(height - 84 * 12) < 36
    assert cut.flags.c_contiguous
    assert cut[height // 2, width // 2].min() == 200
    assert cut[:40, :40].max() == cut[-40:, -40:].max() == 0
    assert 255 not in cut
    assert (picture == 200).any()  # the given one is left alone


def test_applying_a_box_crops_and_copies() -> None:
    picture = np.arange(101 * 203 * 3, dtype=np.uint32).astype(np.uint8).reshape(101, 203, 3)
    cut = Field(kind="box", box=(0.0, 0.1, 1.0, 0.9)).apply(picture)
    assert cut.shape == (78, 202, 3)
    assert np.array_equal(cut, picture[11:89, :202])
    assert not np.shares_memory(cut, picture)
