"""A site's limits are checked when they are read, and a plan is held against every one of them."""

import datetime
from pathlib import Path
from typing import Any

import pytest

from ophora_client.errors import SiteInvalid
from ophora_client.policy import FederationLimits, is_within
from ophora_client.site import Site, init_site
from ophora_client.site_rounds import read_policy
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


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"noise": "none"}, "noise"),
        ({"min_colluding_sites": -1}, "min_colluding_sites"),
        ({"min_sites": 2}, "min_sites"),
        ({"max_epsilon_per_round": 0.0}, "max_epsilon_per_round"),
        ({"max_epsilon_per_round": float("nan")}, "max_epsilon_per_round"),
        ({"bases": ("tiny",)}, "bases"),
        ({"hours": "at night"}, "hours"),
        ({"hours": "24:00-06:00"}, "hours"),
        ({"hours": "20:00"}, "hours"),
    ],
)
def test_a_policy_that_says_nothing_clear_is_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SiteInvalid, match=named):
        FederationLimits(**changes)


def test_the_policy_is_a_file_of_its_own_and_of_no_two(tmp_path: Path) -> None:
    site = init_site(tmp_path, code="a", profile={"federation": {"hours": "20:00-06:00"}})
    assert "hours" in (tmp_path / "policy.toml").read_text()
    assert "federation" not in (tmp_path / "site.toml").read_text()
    (tmp_path / "policy.toml").write_text('stages = ["tpt"]\n')
    assert Site.open(tmp_path).settings.federation.stages == ("tpt",)
    (tmp_path / "policy.toml").write_text("max_clip_nrom = 1.0\n")
    with pytest.raises(SiteInvalid, match=r"policy\.toml: .*max_clip_nrom"):
        Site.open(tmp_path)
    (tmp_path / "policy.toml").write_text("")
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text() + "[federation]\nmin_sites = 4\n")
    with pytest.raises(SiteInvalid, match=r"policy\.toml's now"):
        Site.open(tmp_path)


@pytest.mark.parametrize(
    ("hours", "now", "inside"),
    [
        ("", "12:00", True),
        ("08:00-18:00", "08:00", True),
        ("08:00-18:00", "18:00", False),
        ("20:00-06:00", "23:59", True),
        ("20:00-06:00", "05:59", True),
        ("20:00-06:00", "06:00", False),
        ("20:00-06:00", "12:00", False),
        ("07:00-07:00", "03:00", True),
    ],
)
def test_hours_may_pass_midnight(hours: str, now: str, inside: bool) -> None:
    assert is_within(hours, datetime.time.fromisoformat(now)) is inside


def test_a_run_waits_for_the_sites_word(tmp_path: Path) -> None:
    site = init_site(tmp_path, code="a", profile={"federation": {"approve_runs": True}})
    assert read_policy(tmp_path).approved_runs == frozenset()
    site.approve_run("run-1")
    site.approve_run("run-2")
    assert read_policy(tmp_path).approved_runs == {"run-1", "run-2"}
    with pytest.raises(SiteInvalid, match="run="):
        site.approve_run("Mrs Smith")
