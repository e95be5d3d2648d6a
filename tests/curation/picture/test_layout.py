import pytest

from ophora_curation.errors import SettingsError
from ophora_curation.picture.layout import parse_layouts, rectangles


def test_a_layout_masks_recordings_of_its_size_only() -> None:
    layouts = parse_layouts(["1920x1080 0 0 1 0.07", "720x576 0 0 .5 1.0", "1920x1080 0 0.9 1 1"])
    assert rectangles(layouts, (1920, 1080)) == ((0.0, 0.0, 1.0, 0.07), (0.0, 0.9, 1.0, 1.0))
    assert rectangles(layouts, (720, 576)) == ((0.0, 0.0, 0.5, 1.0),)
    assert rectangles(layouts, (1080, 1920)) is None
    assert rectangles((), (1920, 1080)) is None


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "must be WIDTHxHEIGHT"),
        ("1920x1080", "must be WIDTHxHEIGHT"),
        ("1920 1080 0 0 1 1", "must be WIDTHxHEIGHT"),
        ("0x1080 0 0 1 1", "must be WIDTHxHEIGHT"),
        ("1920x1080 0 0 1 1 1", "must be WIDTHxHEIGHT"),
        ("1920x1080 0 0 1 75", "shares from 0 to 1"),
        ("1920x1080 0 0 1 nan", "shares from 0 to 1"),
        ("1920x1080 -0.1 0 1 1", "shares from 0 to 1"),
        ("1920x1080 0.5 0 0.5 1", "LEFT must be less than RIGHT"),
        ("1920x1080 0 0.8 1 0.2", "TOP less than BOTTOM"),
    ],
)
def test_a_wrong_layout_is_refused_with_its_value_and_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_layouts(["1920x1080 0 0 1 0.07", text])
    assert f'layouts="{text}"' in str(refused.value)
    assert remedy in str(refused.value)
    assert "1920x1080 0 0 1 0.07" in str(refused.value)
