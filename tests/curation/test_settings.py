import pytest

from ophora_curation.errors import SettingsError
from ophora_curation.execution import ExecutionSettings
from ophora_curation.settings import CurationSettings
from ophora_curation.text.refining import RefineSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_width": -1}, r"min_width=-1: must be a whole number from 16"),
        ({"decoder": "vlc"}, 'decoder="vlc": must be one of "pyav", "decord"'),
        ({"face_score": 2.0}, "face_score=2.0: must be a number from 0.05 to 1"),
        ({"target_clip_s": 50.0}, "target_clip_s=50.0: must be a number from 2 to 10"),
        ({"patient_from": "name"}, 'patient_from="name": must be one of "folder"'),
        ({"min_motion": float("nan")}, "min_motion=nan"),
    ],
)
def test_bad_values_name_key_value_and_range(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        CurationSettings(**values)  # type: ignore[arg-type]


def test_what_can_change_the_outcome_changes_the_recipe() -> None:
    usual = CurationSettings().recipe()
    assert CurationSettings(min_width=100).recipe() != usual
    endpoint = RefineSettings(endpoint="http://127.0.0.1:9/v1", model="qwen")
    assert CurationSettings().recipe(endpoint) != usual
    assert CurationSettings().recipe(RefineSettings(timeout_s=5.0)) == usual


def test_limits_of_workers_are_checked_and_change_no_recipe() -> None:
    with pytest.raises(SettingsError, match='executor="slurm": must be one of "process", "ray"'):
        ExecutionSettings(executor="slurm")
    with pytest.raises(SettingsError, match="workers=0"):
        ExecutionSettings(workers=0)
