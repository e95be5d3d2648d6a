import numpy as np
import pytest

from ophora_curation.picture.mask import covered_share, fill, grown, panel_masks


def test_a_mask_is_flat_and_leaves_the_picture_itself_alone() -> None:
    picture = np.random.default_rng(1).integers(1, 255, (40, 60, 3), dtype=np.uint8)
    before = picture.copy()
    masked = fill(picture, [(10, 5, 30, 15)])
    assert masked[5:15, 10:30].max() == 0
    assert np.array_equal(masked[15:], picture[15:])
    assert np.array_equal(picture, before)


def test_a_box_grows_by_its_height_and_stays_inside() -> None:
    assert grown((50, 50, 90, 70), (200, 200)) == (34, 42, 106, 78)
    assert grown((1, 2, 99, 12), (100, 100)) == (0, 0, 100, 16)


def test_overlapping_boxes_count_once() -> None:
    assert covered_share([(0, 0, 10, 10), (0, 0, 10, 10)], (20, 10)) == 0.5


def test_lines_between_two_of_a_panel_are_covered_with_them():
    # as found on a panel of six lines of which an instrument crosses two
    found = [(383, 7, 450, 27), (388, 26, 451, 42), (392, 44, 425, 58), (384, 96, 462, 109)]
    picture = fill(np.full((320, 480, 3), 200, np.uint8), panel_masks(found, (480, 320)))
    for left, top, right, bottom in [(385, 65, 414, 74), (385, 82, 472, 90)]:
        assert not picture[top:bottom, left:right].any()
    assert picture[130:].all()
    assert picture[:, :360].all()


@pytest.mark.parametrize(
    "other",
    [
        (10, 150, 90, 170),  # another panel, below
        (300, 45, 380, 65),  # beside
    ],
)
def test_lines_that_are_no_panel_are_masked_one_by_one(other):
    found = [(10, 10, 90, 30), other]
    assert panel_masks(found, (480, 320)) == sorted(
        [grown(box, (480, 320)) for box in found], key=lambda box: box[1]
    )
