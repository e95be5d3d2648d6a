import numpy as np
import pytest

from ophora_curation.phantom.passage import Passage, choose_passages, join


def shades(*values):
    return np.stack([np.full((4, 6, 3), value, dtype=np.uint8) for value in values])


def test_a_cut_leaves_every_frame_as_it_is():
    stacks = [shades(10, 11, 12, 13), shades(200, 201, 202, 203)]
    assert np.array_equal(np.stack(list(join(stacks, {}))), np.concatenate(stacks))


def test_a_dissolve_goes_linearly_from_one_picture_to_the_other():
    stacks = [shades(*[0] * 6), shades(*[200] * 6), shades(*[0] * 6)]
    blend = Passage(kind="dissolve", at=6, half=2)
    levels = [int(frame[0, 0, 0]) for frame in join(stacks, {6: blend})]
    assert levels == [0] * 4 + [40, 80, 120, 160] + [200] * 4 + [0] * 6


def test_both_pictures_keep_moving_during_a_dissolve():
    blend = Passage(kind="dissolve", at=6, half=2)
    stacks = [shades(*range(10, 16)), shades(*range(100, 106))]
    levels = [float(frame[0, 0, 0]) for frame in join(stacks, {6: blend})]
    leaving, coming = [14, 15, 14, 13], [102, 101, 100, 101]
    wanted = [
        (1 - share) * old + share * new
        for old, new, share in zip(leaving, coming, (0.2, 0.4, 0.6, 0.8), strict=True)
    ]
    assert levels[4:8] == pytest.approx(wanted, abs=1)
    assert len(levels) == 12


def test_a_fade_through_black_is_dark_in_the_middle():
    stacks = [shades(*[100] * 8), shades(*[200] * 8)]
    frames = list(join(stacks, {8: Passage(kind="black", at=8, half=3)}))
    levels = [int(frame[0, 0, 0]) for frame in frames]
    assert len(levels) == 16
    assert levels[:5] == [100] * 5
    assert levels[-5:] == [200] * 5
    assert max(levels[7:9]) < 40


def test_the_share_of_blends_is_kept():
    rng = np.random.default_rng(2)
    chosen = choose_passages(rng, range(10, 4010, 10), share=0.3, fps=8)
    assert len(chosen) == pytest.approx(120, rel=0.25)
    assert {passage.half for passage in chosen.values()} == {2}
    assert {passage.kind for passage in chosen.values()} == {"dissolve", "black"}
    assert choose_passages(rng, [10], share=0.0, fps=8) == {}
