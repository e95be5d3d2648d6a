"""The page in a real browser: login, the round, what refreshes, phone width, who can't see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from browser import NEEDS_CHROMIUM, Watched, running_chromium
from ophora_server.desk.password import PasswordHash
from ophora_server.run_folder import RunFolder
from ophora_server.run_record import RunRecord, open_registry

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]
RIGHT = "correct horse battery"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with running_chromium() as browser:
        yield browser


class Visitor(Watched):
    """Who looks at the page, and may log in."""

    def log_in(self, home: str) -> None:
        """With the keyboard: the field has the focus."""
        self.page.goto(home)
        self.page.wait_for_selector("#password:focus")
        self.page.keyboard.type(RIGHT)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector("#live")


@pytest.fixture
def watched(chromium: Any, running) -> Iterator[Visitor]:
    made = Visitor(chromium, viewport={"width": 1280, "height": 800})
    made.log_in(running.home)
    yield made
    made.context.close()


def test_the_round_is_seen_and_parts_refresh_when_the_registry_changes(
    watched: Visitor, running
) -> None:
    page = watched.page
    live = page.inner_text("#live")
    assert "Round 4 of 5, p2ft" in live
    assert "Awaited: 1" in live
    assert "site-b hours" in " ".join(live.split())
    page.click("#older-entries summary")
    page.focus("#older-entries summary")
    with open_registry(running.run) as registry:
        record = RunRecord(registry, "run-1")
        entry = record.begin(4, "p2ft", "0" * 64)
        entry.take("site-c", "budget", num_bytes=40)
    page.wait_for_function("() => document.querySelector('#live').innerText.includes('Attempt 2')")
    assert "site-c budget" in " ".join(page.inner_text("#live").split())
    page.wait_for_function("() => document.querySelector('#audit').innerText.includes('budget')")
    assert page.evaluate("document.querySelector('#older-entries').open")
    assert page.evaluate("document.activeElement.closest('#older-entries') !== null")
    assert watched.complaints == []


def test_no_other_host_is_asked_and_what_is_the_same_stays(watched: Visitor, running) -> None:
    watched.page.evaluate("document.querySelector('#rounds table').dataset.kept = 'yes'")
    watched.page.wait_for_timeout(10_500)
    assert [url for url in watched.requested if not url.startswith(running.home)] == []
    assert any(url.endswith("/parts/rounds") for url in watched.requested)
    assert watched.page.evaluate("document.querySelector('#rounds table').dataset.kept") == "yes"
    assert watched.complaints == []


def test_an_ended_session_leads_to_the_login(watched: Visitor, clock) -> None:
    clock.now += 24 * 3600.0
    watched.page.wait_for_selector("#password")


def test_logging_out_shows_the_login(watched: Visitor, running) -> None:
    watched.page.click("text=Log out")
    watched.page.wait_for_selector("#password")
    watched.page.goto(running.home)
    assert watched.page.url.endswith("/login")


def test_a_wrong_password_is_said(chromium: Any, running) -> None:
    made = Visitor(chromium)
    made.page.goto(running.home)
    made.page.fill("#password", "wrong horse battery")
    made.page.click("text=Log in")
    assert "did not work" in made.page.inner_text("[role=alert]")
    made.context.close()


def test_a_lost_server_is_said_and_what_was_known_stays(watched: Visitor) -> None:
    watched.context.set_offline(True)
    watched.page.wait_for_selector("#link.bad")
    assert "Round 4 of 5" in watched.page.inner_text("#live")
    watched.context.set_offline(False)
    watched.page.wait_for_selector("#link:not(.bad)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(chromium: Any, running, scheme: str) -> None:
    made = Visitor(chromium, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    made.log_in(running.home)
    for summary in made.page.query_selector_all("summary"):
        summary.click()
    assert made.page.evaluate("document.documentElement.scrollWidth") == 360
    beyond = made.page.evaluate(
        "[...document.querySelectorAll('main *')].filter(each => !each.closest('thead, svg') &&"
        " each.getBoundingClientRect().right > 360.5).map(each => each.outerHTML.slice(0, 80))"
    )
    assert beyond == []
    made.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(chromium: Any, running, scheme: str) -> None:
    made = Visitor(chromium, color_scheme=scheme)
    made.log_in(running.home)
    assert made.page.evaluate(_FAINT) == []
    made.context.close()


def test_it_has_landmarks_names_and_labels(watched: Visitor) -> None:
    page = watched.page
    assert page.get_attribute("html", "lang") == "en"
    for role, number in (("main", 1), ("banner", 1), ("navigation", 1), ("contentinfo", 1)):
        assert page.get_by_role(role).count() == number
    assert page.get_by_role("heading", level=1).count() == 1
    for title in ("Now", "Sites", "Rounds", "Charts", "Releases", "Audit log"):
        assert page.get_by_role("region", name=title, exact=True).count() == 1
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size") == (
        page.evaluate("document.querySelectorAll('[id]').length")
    )
    assert page.evaluate("document.querySelectorAll('img:not([alt])').length") == 0
    assert page.evaluate("document.querySelectorAll('svg:not([aria-label])').length") == 0
    assert page.get_by_role("table", name="Sites").get_by_role("rowheader").count() == 5
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_the_password_has_a_label(chromium: Any, running) -> None:
    made = Visitor(chromium)
    made.page.goto(running.home)
    assert made.page.get_by_label("Password of this page").count() == 1
    assert made.page.get_by_role("main").count() == 1
    made.context.close()


def test_a_run_that_never_started_says_so(
    chromium: Any, empty: RunFolder, password: PasswordHash, serving
) -> None:
    with serving(empty, password) as running:
        made = Visitor(chromium, viewport={"width": 360, "height": 740})
        made.log_in(running.home)
        assert "This run has not started." in made.page.inner_text("main")
        assert made.page.evaluate("document.documentElement.scrollWidth") == 360
        assert made.complaints == []
        made.context.close()


# texts whose contrast is below 4.5 to 1
_FAINT = """() => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(each => each / 255)
    .map(each => each <= .03928 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4)
    .reduce((sum, each, place) => sum + each * [.2126, .7152, .0722][place], 0);
  const behind = each => {
    for (; each; each = each.parentElement) {
      const colour = numbers(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const each of document.querySelectorAll('body *')) {
    const own = [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || each.closest('noscript, title')) continue;
    const style = getComputedStyle(each);
    const colour = each.closest('svg') ? style.fill : style.color;
    const [one, other] = [light(numbers(colour)), light(behind(each))].sort((a, b) => b - a);
    const contrast = (one + .05) / (other + .05);
    if (contrast < 4.5) found.push(`${each.className} ${each.innerText}: ${contrast}`);
  }
  return found;
}"""
