from __future__ import annotations

from dataclasses import fields, replace

from ophora_client.page.policy_words import policy_words
from ophora_client.policy import FederationLimits
from ophora_client.site_settings import PrivacyTable, SiteSettings, SiteTable

SETTINGS = SiteSettings(site=SiteTable(code="a"))


def test_no_key_of_the_policy_is_left_out() -> None:
    told = [key for rule in policy_words(SETTINGS) for key in rule.keys]
    wanted = [each.name for kind in (FederationLimits, PrivacyTable) for each in fields(kind)]
    assert sorted(told) == sorted(wanted)


def test_every_key_changes_what_is_said() -> None:
    changes = {
        "stages": ("tpt",),
        "min_noise_multiplier": 0.5,
        "max_clip_norm": 2.0,
        "max_steps_per_round": 7,
        "max_learning_rate": 0.01,
        "max_adapter_rank": 8,
        "max_round_s": 60.0,
        "noise": "both",
        "require_secure_sum": True,
        "min_sites": 5,
        "bases": ("0123456789ab",),
        "max_epsilon_per_round": 0.5,
        "hours": "20:00-06:00",
        "approve_runs": True,
    }
    usual = [rule.said for rule in policy_words(SETTINGS)]
    for key, value in changes.items():
        limits = replace(SETTINGS.federation, **{key: value})
        assert [r.said for r in policy_words(replace(SETTINGS, federation=limits))] != usual, key
    shared = replace(SETTINGS.federation, noise="both")
    more = replace(shared, min_colluding_sites=3)
    assert policy_words(replace(SETTINGS, federation=shared)) != policy_words(
        replace(SETTINGS, federation=more)
    )
    for key, value in {"epsilon_cap": 2.0, "delta": 1e-6, "share_loss": True}.items():
        privacy = replace(SETTINGS.privacy, **{key: value})
        assert [r.said for r in policy_words(replace(SETTINGS, privacy=privacy))] != usual, key
