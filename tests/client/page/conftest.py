"""A site with all that its page can show, and a browser that was given the link."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ophora_client.site import Site
from reviewed_site import make_site
from site_page import Door, page_server, send, spend, write_authority, write_policy


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Made once; a test gets a copy of it."""
    site = make_site(tmp_path_factory.mktemp("made") / "site")
    write_authority(site.folder, 200)
    write_policy(site, 'approve_runs = true\nhours = "20:00-06:00"\n')
    spend(site, 6)
    send(site, 13)
    return site


@pytest.fixture
def site(made: Site, tmp_path: Path) -> Site:
    """Six rounds spent, fifteen messages sent, one run waits; its trainer is not running."""
    return Site.open(Path(shutil.copytree(made.folder, tmp_path / "site")))


@pytest.fixture
def door(site: Site) -> Iterator[Door]:
    with page_server(site) as made:
        yield made


@pytest.fixture
def stranger(door: Door) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=door.home, timeout=60.0) as client:
        yield client


@pytest.fixture
def browser(stranger: httpx.Client, door: Door) -> httpx.Client:
    assert stranger.get(f"/?token={door.token}").status_code == 303
    return stranger
