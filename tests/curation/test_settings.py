import pytest

from ophora_curation.errors import SettingsError
from ophora_curation.settings import CurationSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_width": -1}, r"min_width=-1: must be a whole number from 16"),
        ({"workers": 0}, "workers=0"),
        ({"target_clip_s": 50.0}, "target_clip_s=50.0: must be a number from 2 to 10"),
        ({"patient_from": "name"}, 'patient_from="name": must be one of "folder"'),
        ({"min_motion": float("nan")}, "min_motion=nan"),
    ],
)
def test_bad_values_name_key_value_and_range(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        CurationSettings(**values)  # type: ignore[arg-type]


def test_speed_does_not_change_the_recipe() -> None:
    assert CurationSettings(workers=4).recipe() == CurationSettings().recipe()
    assert CurationSettings(min_width=100).recipe() != CurationSettings().recipe()
