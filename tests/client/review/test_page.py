from collections.abc import Iterator
from typing import Any

import pytest

from browser import NEEDS_CHROMIUM, Watched, running_chromium
from ophora_client.review.desk import ReviewDesk
from ophora_client.review.signing import ReviewKey, read_head, verify_reviews
from ophora_client.site import Site
from ophora_curation.store.manifest import Manifest
from review_server import Running

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def watched(chromium: Any, running: Running) -> Iterator[Watched]:
    made = Watched(chromium, viewport={"width": 1440, "height": 900})
    made.page.goto(f"{running.home}/?token={running.door.token}")
    made.page.wait_for_selector("article[data-clip]")
    yield made
    made.context.close()


def shown(page: Any) -> str:
    return str(page.get_attribute("article", "data-clip"))


def wait_for_clip(page: Any, clip_id: str) -> None:
    page.wait_for_selector(f'article[data-clip="{clip_id}"]')


def wait_for_notice(page: Any, text: str) -> None:
    page.wait_for_function(
        "text => document.getElementById('notice').textContent.includes(text)", arg=text
    )


def test_a_queue_is_decided_with_the_keyboard_alone(
    watched: Watched, desk: ReviewDesk, site: Site
) -> None:
    page = watched.page
    first, second, third = (clip.clip_id for clip in desk.queue("quarantine"))
    assert shown(page) == first
    assert "1 of 3" in page.inner_text("#left")
    assert page.evaluate("document.querySelector('.sheet-image').naturalWidth") > 1000
    page.wait_for_function("document.querySelector('.player').readyState >= 2")

    page.keyboard.press("j")
    wait_for_clip(page, second)
    page.keyboard.press("ArrowLeft")
    wait_for_clip(page, first)

    page.keyboard.press("a")
    wait_for_clip(page, second)
    wait_for_notice(page, "Approved: now in tpt.")
    assert desk.clip(first).tier == "tpt"

    page.keyboard.press("u")
    wait_for_clip(page, first)
    assert desk.clip(first).tier == "quarantine"
    assert "return" in page.inner_text(".reviews")

    page.keyboard.press("r")
    wait_for_notice(page, "Press r again")
    assert desk.clip(first).tier == "quarantine"
    page.keyboard.press("r")
    wait_for_clip(page, second)
    assert desk.clip(first).tier == "rejected"

    page.keyboard.press("j")
    wait_for_clip(page, third)
    assert page.is_disabled("button.approve")
    page.keyboard.press("a")
    wait_for_notice(page, "left in the written clip: 1")
    assert desk.clip(third).tier == "quarantine"

    page.click('.tab[data-tab="p2ft"]')
    accepted = desk.queue("p2ft")[0].clip_id
    wait_for_clip(page, accepted)
    page.keyboard.press("b")
    wait_for_notice(page, "Back in quarantine.")
    page.wait_for_selector("main .empty")
    assert desk.clip(accepted).tier == "quarantine"
    with Manifest.open(site.manifest_path) as manifest:
        decisions = [review.decision for review in manifest.reviews()]
        key = ReviewKey.open(site.folder).public_key
        assert verify_reviews(manifest, key, head=read_head(site.folder)) == ()
    assert decisions == ["approve", "return", "reject", "return"]
    assert watched.complaints == []


def test_nothing_is_asked_of_any_other_host(watched: Watched, running: Running) -> None:
    watched.page.keyboard.press("j")
    watched.page.wait_for_timeout(500)
    own = (running.home, "blob:" + running.home, "data:")
    assert [url for url in watched.requested if not url.startswith(own)] == []
    assert len(watched.requested) > 8
    assert watched.complaints == []


def test_the_link_opens_one_browser_only(watched: Watched, running: Running, chromium: Any) -> None:
    assert "token" not in watched.page.url
    other = chromium.new_context().new_page()
    answer = other.goto(f"{running.home}/?token={running.door.token}")
    assert answer.status == 403
    assert other.goto(running.home).status == 403
    other.context.close()
    assert watched.page.reload().status == 200


def test_a_colleague_who_was_first_is_told_of(watched: Watched, desk: ReviewDesk) -> None:
    from ophora_client.review.desk import Request

    clip = desk.queue("quarantine")[0]
    desk.decide(
        Request(
            clip_id=clip.clip_id,
            decision="approve",
            sha256=clip.sha256,
            tier=clip.tier,
            num_reviews=0,
        )
    )
    watched.page.keyboard.press("r")
    watched.page.keyboard.press("r")
    wait_for_notice(watched.page, "decided meanwhile")
    assert desk.clip(clip.clip_id).tier == "tpt"


def test_mouse_and_screen_reader_find_their_way(watched: Watched) -> None:
    page = watched.page
    page.click("#help")
    assert page.is_visible("#keys")
    page.keyboard.press("Escape")
    assert not page.is_visible("#keys")
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, select, img, video, progress')].filter(each => "
        "!(each.innerText || each.alt || each.getAttribute('aria-label') || each.labels?.length))"
        ".length"
    )
    assert nameless == 0
    page.keyboard.press("Shift+Tab")  # help is the last of the page
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.click("button.approve")
    wait_for_notice(page, "Approved")


def test_a_narrow_window_has_no_sideways_scroll(chromium: Any, running: Running) -> None:
    narrow = Watched(chromium, viewport={"width": 390, "height": 844}, color_scheme="dark")
    narrow.page.goto(f"{running.home}/?token={running.door.token}")
    narrow.page.wait_for_selector("article[data-clip]")
    wide = narrow.page.evaluate("document.documentElement.scrollWidth")
    narrow.context.close()
    assert wide <= 390
