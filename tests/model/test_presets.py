"""Presets: the large bases are what their publishers say; each has sizes it can work at."""

import pytest

from ophora_model.presets import PRESET_NAMES, find_preset


def test_the_larger_sister_works_at_the_papers_size_in_the_type_it_was_trained_in():
    preset = find_preset("cogvideox-5b")
    assert preset.source == "zai-org/CogVideoX-5b"
    assert (preset.frames, preset.height, preset.width, preset.text_length) == (49, 480, 720, 226)
    assert (preset.dtype, preset.sampling_steps) == ("bfloat16", 50)
    assert (preset.guidance, preset.dynamic_guidance) == (6.0, True)


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_every_preset_says_why_it_has_its_type(name):
    preset = find_preset(name)
    assert preset.dtype in preset.dtype_reason


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_frames_are_8k_plus_1_and_sides_divide_into_patches(name):
    preset = find_preset(name)
    assert preset.frames % 8 == 1
    assert preset.height % 16 == 0
    assert preset.width % 16 == 0
