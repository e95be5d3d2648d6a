"""Canaries and the codes on them."""

import numpy as np
import pytest

from ophora_model.audit.canaries import PREFIX, canary_frames, coins, draw_canaries
from ophora_model.audit.glyphs import ALPHABET, draw_code, videos_with_code
from ophora_model.errors import PlanInvalid
from ophora_model.presets import find_preset
from ophora_model.video import Frames

SECRET = b"the secret of a site, 32 bytes.."


def test_they_are_the_secrets_own_and_stay_when_more_are_drawn() -> None:
    few, many = draw_canaries(SECRET, 20), draw_canaries(SECRET, 60)
    assert many[:20] == few
    others = draw_canaries(b"another", 60)
    assert not {each.patient_id for each in many} & {each.patient_id for each in others}
    assert coins(many) != coins(others)


def test_each_is_a_patient_of_its_own_and_a_fair_coin_includes_it() -> None:
    canaries = draw_canaries(SECRET, 2000)
    for name in ("patient_id", "clip_id", "instruction"):
        assert len({getattr(each, name) for each in canaries}) == 2000
    assert all(each.patient_id.startswith(PREFIX) for each in canaries)
    assert sum(coins(canaries)) == pytest.approx(1000, abs=90)  # four standard deviations


def test_the_ids_and_looks_say_nothing_of_the_coin() -> None:
    canaries = draw_canaries(SECRET, 2000)
    for number in range(4):
        bits = [int(each.patient_id[-1 - number], 16) & 1 for each in canaries]
        assert abs(np.corrcoef(bits, coins(canaries))[0, 1]) < 0.09
    looks = [each.seed & 1 for each in canaries]
    assert abs(np.corrcoef(looks, coins(canaries))[0, 1]) < 0.09


def test_frames_move_differ_and_fit_the_preset() -> None:
    preset = find_preset("tiny")
    one, two = (canary_frames(each, preset) for each in draw_canaries(SECRET, 2))
    assert one.shape == (preset.frames, preset.height, preset.width, 3)
    assert one.dtype == np.uint8
    assert np.abs(one.astype(int) - two).mean() > 10
    assert np.abs(one[0].astype(int) - one[-1]).mean() > 1
    assert np.array_equal(one, canary_frames(draw_canaries(SECRET, 1)[0], preset))


def test_a_wrong_number_is_refused() -> None:
    with pytest.raises(PlanInvalid, match="canaries=0"):
        draw_canaries(SECRET, 0)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (480, 720), (16, 24)])
def test_a_code_is_drawn_within_the_picture_and_leaves_the_original(
    height: int, width: int
) -> None:
    picture = np.full((height, width, 3), 90, np.uint8)
    drawn = draw_code(picture, ALPHABET[:6])
    assert drawn.shape == picture.shape
    assert (picture == 90).all()
    assert (drawn == 255).any()
    assert (drawn == 0).any()


def test_codes_are_found_with_one_letter_wrong_and_not_with_two() -> None:
    videos = [np.zeros((1, 16, 16, 3), np.uint8)] * 5
    lines = iter([["xx KAT", "349"], ["KAT3 4X"], ["KAT3"], ["KXX349"], []])

    def read(_: Frames) -> list[str]:
        return next(lines)

    assert videos_with_code(videos, ["KAT349"], read) == 2
