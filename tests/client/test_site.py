import math
import stat
from pathlib import Path
from typing import cast

import pytest

from ophora_client.errors import SiteExists, SiteInvalid, SiteMissing
from ophora_client.site import Site, init_site
from ophora_client.site_rounds import open_rounds
from ophora_client.site_settings import parse_settings
from ophora_client.tuner import Tuner
from ophora_privacy.errors import LedgerUnavailable


def test_a_new_site_opens_with_the_defaults_and_the_profile(tmp_path: Path) -> None:
    profile = {
        "curation": {"min_width": 160, "harmless_words": ["northlight"]},
        "privacy": {"epsilon_cap": math.inf, "share_loss": True},
        "federation": {"max_steps_per_round": 40},
    }
    made = init_site(tmp_path / "site", code="site-a", profile=profile)
    opened = Site.open(tmp_path / "site")
    assert opened == made
    assert opened.settings.site.code == "site-a"
    assert opened.settings.curation.min_width == 160
    assert opened.settings.curation.min_height == 480
    assert opened.settings.curation.harmless_words == ("northlight",)
    assert opened.settings.privacy.epsilon_cap == math.inf
    assert opened.settings.privacy.share_loss
    assert opened.settings.model.preset == "tiny"
    assert opened.settings.federation.max_steps_per_round == 40


def test_settings_that_are_no_text_are_refused(tmp_path: Path) -> None:
    init_site(tmp_path, code="a")
    (tmp_path / "site.toml").write_bytes(b"\xff\xfe[site]")
    with pytest.raises(SiteInvalid, match="UTF-8"):
        Site.open(tmp_path)


def test_a_site_whose_ledger_is_gone_trains_nothing(tmp_path: Path) -> None:
    site = init_site(tmp_path, code="a")
    site.ledger_path.unlink()
    with pytest.raises(LedgerUnavailable, match="not there"):
        open_rounds(tmp_path, tuner=cast(Tuner, None))
    assert not site.ledger_path.exists()


def test_the_key_is_secret_and_stays(tmp_path: Path) -> None:
    site = init_site(tmp_path, code="a")
    key = site.key()
    assert len(key) == 32
    assert stat.S_IMODE((tmp_path / "site.key").stat().st_mode) == 0o600
    with pytest.raises(SiteExists, match="nothing was changed"):
        init_site(tmp_path, code="b")
    assert site.key() == key
    assert init_site(tmp_path / "other", code="a").key() != key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[curation]\nmin_widht = 3", r"unknown key in \[curation\]: min_widht = 3: must be one"),
        ("[curaton]\nmin_width = 3", "unknown table: curaton"),
        ('[curation]\nmin_width = "3"', "curation.min_width = '3': must be a whole number"),
        ("[curation]\nmin_width = 3", "min_width=3: must be a whole number from 16"),
        ("[privacy]\nepsilon_cap = 0", "epsilon_cap=0.0: must be > 0"),
        ("[privacy]\nepsilon_cap = nan", "epsilon_cap=nan"),
        ("[privacy]\nshare_loss = 1", "privacy.share_loss = 1: must be true or false"),
        ('[model]\npreset = "huge"', r"huge.*tiny"),
        ('[model]\nbase_folder = "/no/such"', "base_folder='/no/such': has no transformer/"),
        ("[curation", "not valid TOML"),
    ],
)
def test_a_wrong_setting_names_key_value_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(SiteInvalid, match=message):
        parse_settings(f'[site]\ncode = "a"\n{text}')


@pytest.mark.parametrize("code", ["", "Elm Street Infirmary", "-a", "a" * 33])
def test_a_code_that_could_name_a_hospital_is_refused(tmp_path: Path, code: str) -> None:
    with pytest.raises(SiteInvalid, match="code="):
        init_site(tmp_path / "site", code=code)
    assert not (tmp_path / "site").exists()


def test_a_folder_without_a_site_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SiteMissing, match="ophora site init"):
        Site.open(tmp_path)


def test_a_damaged_key_is_refused(tmp_path: Path) -> None:
    site = init_site(tmp_path, code="a")
    (tmp_path / "site.key").write_bytes(b"short")
    with pytest.raises(SiteInvalid, match=r"site.key has 5 bytes: must be 32"):
        site.key()
