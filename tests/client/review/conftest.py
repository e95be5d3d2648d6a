"""A site with clips to review, its desk and a running page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ophora_client.review.desk import ReviewDesk
from ophora_client.review.signing import ReviewKey
from ophora_client.site import Site
from review_server import Running, review_server
from reviewed_site import make_site, paths_of


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path / "site")


@pytest.fixture
def desk(site: Site) -> ReviewDesk:
    return ReviewDesk.open(paths_of(site), key=ReviewKey.open(site.folder), reviewer="r-1")


@pytest.fixture
def running(desk: ReviewDesk) -> Iterator[Running]:
    with review_server(desk) as running:
        yield running
