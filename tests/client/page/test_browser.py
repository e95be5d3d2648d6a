"""The page in a real browser: what is seen, what refreshes by itself, phone width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from browser import NEEDS_CHROMIUM, Watched, running_chromium
from ophora_client.site import Site
from site_page import page_server

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]
_SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with running_chromium() as browser:
        yield browser


@pytest.mark.parametrize("size", _SIZES)
def test_all_of_it_is_seen_and_refreshes_by_itself(chromium: Any, site: Site, size: str) -> None:
    with page_server(site) as door:
        watched = Watched(chromium, viewport=_SIZES[size], color_scheme="light")
        page = watched.page
        page.goto(f"{door.home}/?token={door.token}")
        page.wait_for_function("() => document.querySelector('.plot').naturalWidth > 300")
        for title in ("Now", "Waiting for approval", "Privacy budget", "What was sent"):
            assert page.get_by_role("region", name=title, exact=True).count() == 1
        page.click("#sent a[href='/#kind-refusal'] >> nth=0")
        page.wait_for_selector("#fields-refusal[open] dl")
        for summary in page.query_selector_all("details:not([open]) > summary"):
            summary.click()
        width = _SIZES[size]["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        beyond = page.evaluate(
            f"[...document.querySelectorAll('main *')].filter(each => !each.closest('thead') &&"
            f" each.getBoundingClientRect().right > {width}.5).map(each => each.outerHTML)"
        )
        assert beyond == []
        site.approve_run("run-2")
        page.wait_for_function(
            "() => document.querySelector('#approvals').innerText.includes('No run waits')"
        )
        assert page.evaluate("document.querySelector('#fields-refusal').open")
        assert [url for url in watched.requested if not url.startswith(door.home)] == []
        assert watched.complaints == []
        watched.context.close()
