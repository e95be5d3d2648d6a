"""Performance settings are checked, and have nothing that a guarantee rests on."""

from dataclasses import fields

import pytest

from ophora_privacy.errors import InvalidPlan
from ophora_privacy.performance import PerformanceSettings
from ophora_privacy.plan import GaussianEvent, PrivacyPlan


def test_the_defaults_are_the_safest_choice() -> None:
    settings = PerformanceSettings()
    assert (settings.path, settings.micro_batch, settings.draws_per_clip) == ("auto", None, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("path", "ghost"),
        ("path", "hooks"),
        ("micro_batch", 0),
        ("micro_batch", True),
        ("draws_per_clip", 0),
        ("draws_per_clip", None),
        ("draws_per_clip", 1.5),
    ],
)
def test_refuses_what_it_cannot_honour(name: str, value: object) -> None:
    with pytest.raises(InvalidPlan, match=name):
        PerformanceSettings(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("path", "reason"), [("hooks", "run twice"), ("ghost", "GiB")])
def test_says_why_the_common_paths_are_refused(path: str, reason: str) -> None:
    with pytest.raises(InvalidPlan, match=reason):
        PerformanceSettings(path=path)  # type: ignore[arg-type]


def test_it_shares_no_setting_with_the_plan_or_its_event() -> None:
    def names(kind: type) -> set[str]:
        return {field.name for field in fields(kind)}

    assert not names(PerformanceSettings) & (names(PrivacyPlan) | names(GaussianEvent))
