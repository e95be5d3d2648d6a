import numpy as np

from ophora_curation.picture.mask import covered_share, fill, grown


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
