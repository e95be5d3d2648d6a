"""A site's limits are checked when they are read, and a plan is held against every one of them."""

from typing import Any

import pytest

from ophora_client.errors import SiteInvalid
from ophora_client.policy import FederationLimits
from ophora_client.site_settings import parse_settings


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"stages": ("warm",)}, "warm"),
        ({"min_noise_multiplier": -1.0}, "min_noise_multiplier"),
        ({"min_noise_multiplier": float("nan")}, "min_noise_multiplier"),
        ({"max_clip_norm": 0.0}, "max_clip_norm"),
        ({"max_round_s": float("inf")}, "max_round_s"),
        ({"max_steps_per_round": 0}, "max_steps_per_round"),
    ],
)
def test_limits_that_bound_nothing_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SiteInvalid, match=named):
        FederationLimits(**changes)


def test_the_table_is_read_from_the_sites_own_file() -> None:
    text = '[site]\ncode = "a"\n[federation]\nstages = ["tpt"]\nmin_noise_multiplier = 0.5\n'
    limits = parse_settings(text).federation
    assert (limits.stages, limits.min_noise_multiplier) == (("tpt",), 0.5)
    with pytest.raises(SiteInvalid, match="max_clip_nrom"):
        parse_settings(text + "max_clip_nrom = 1.0\n")
