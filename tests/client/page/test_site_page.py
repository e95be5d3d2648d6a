"""The page's answers: who is let in, what it shows, and each bad state as a sentence."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from ophora_client.site import Site, init_site
from ophora_client.site_cli import app
from site_page import Door, page_server, write_authority, write_policy

PARTS = ("now", "approvals", "budget", "sent", "kinds", "policy")


def said(answer: str) -> str:
    """The words on the page, without its marks."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer).split())


def part(browser: httpx.Client, name: str) -> str:
    answer = browser.get(f"/parts/{name}")
    assert answer.status_code == 200
    return said(answer.text)


def test_without_the_link_nothing_is_shown(stranger: httpx.Client, door: Door) -> None:
    paths = ("/", "/parts/now", "/budget-wide.png", "/messages/3", "/static/page.js")
    for path in (*paths, "/?token=guess"):
        assert stranger.get(path).status_code == 403
    assert stranger.get(f"/?token={door.token}").status_code == 303
    assert stranger.get("/").status_code == 200
    assert "was used" in stranger.get(f"/?token={door.token}").text


def test_a_foreign_name_for_loopback_is_refused(browser: httpx.Client) -> None:
    port = browser.base_url.port
    assert port
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1:{port + 1}"):
        assert browser.get("/", headers={"Host": host}).status_code == 421
    assert browser.get("/").status_code == 200


def test_nothing_can_be_changed_and_what_is_not_there_is_said(browser: httpx.Client) -> None:
    own = {"Origin": str(browser.base_url).rstrip("/")}
    for path in ("/", "/parts/now", "/messages/3"):
        assert browser.post(path, headers=own).status_code == 405
    for path in ("/parts/none", "/budget-huge.png", "/static/other.js", "/static/..%2flook.py"):
        assert browser.get(path).status_code == 404
    assert browser.get("/messages/0").status_code == 422


def test_it_names_the_site_and_holds_no_script_of_its_own(
    browser: httpx.Client, site: Site
) -> None:
    page = browser.get("/").text
    assert "site · site-a" in said(page)
    assert page.count("<script") == page.count('<script src="/static/') == 1
    for forbidden in ("style=", "<style", "onclick", "http://", "https://", str(site.folder)):
        assert forbidden not in page


def test_clips_are_counted_by_tier_and_the_certificate_has_an_end(browser: httpx.Client) -> None:
    now = part(browser, "now")
    assert "Visually clean p2ft 1 De-identified, harmless overlays tpt 1" in now
    assert "Held for a person quarantine 3 Rejected rejected 1" in now
    assert "From 1 video" in now
    assert "200 days left" in now


@pytest.mark.parametrize(("days", "words"), [(9, "ends soon"), (-2, "expired")])
def test_a_certificate_that_ends_is_told_in_time(
    browser: httpx.Client, site: Site, days: int, words: str
) -> None:
    write_authority(site.folder, days)
    now = part(browser, "now")
    assert words in now
    assert "a new kit" in now


def test_the_budget_is_the_ledgers_and_its_plot_is_drawn(browser: httpx.Client, site: Site) -> None:
    budget = part(browser, "budget")
    spent = site.open_ledger().epsilon().value
    assert "verifies" in budget
    assert "6 rounds reserved" in budget
    assert f"epsilon spent {spent:.3g} left {8 - spent:.3g} cap for life 8" in budget
    assert "1 round was cut off or is being tuned" in budget
    for size in ("wide", "narrow"):
        plot = browser.get(f"/budget-{size}.png")
        assert plot.headers["content-type"] == "image/png"
        assert plot.content.startswith(b"\x89PNG")


def test_a_new_reservation_is_in_the_next_answer(browser: httpx.Client, site: Site) -> None:
    before = browser.get("/budget-wide.png").content
    write_policy(site, "")
    (site.folder / "site.toml").write_text(
        '[site]\ncode = "site-a"\n[privacy]\nepsilon_cap = inf\n'
    )
    assert "left no cap" in part(browser, "budget")
    assert browser.get("/budget-wide.png").content != before


def test_every_message_is_there_newest_first_with_its_kind(browser: httpx.Client) -> None:
    sent = part(browser, "sent")
    assert "verifies 15 messages follow from each other, 13.3 kB in all" in sent
    numbers = re.findall(r"(\d+) \d{4}-\d\d-\d\d \d\d:\d\d UTC", sent)
    assert numbers == [str(number) for number in range(15, 0, -1)]
    assert "refusal approval p2ft, round 1 run-2 0" in sent
    assert "update tpt, round 13 run-1 1,024" in sent
    assert "delta 1e-05 epsilon 4.03 seconds 31 steps 10 ledger receipt" in sent
    assert "refusal secure-sum attempt abababab" in sent


def test_older_messages_have_pages_of_their_own(browser: httpx.Client) -> None:
    older = said(browser.get("/messages/4").text)
    assert re.findall(r"(\d+) \d{4}-\d\d-\d\d", older) == ["3", "2", "1"]
    assert "There are none." in browser.get("/messages/1").text


def test_a_run_that_waits_is_named_with_the_command_until_it_is_approved(
    browser: httpx.Client, site: Site
) -> None:
    waiting = part(browser, "approvals")
    assert "Run run-2 waits for your word." in waiting
    assert "ophora site approve-run run-2 --site SITE" in waiting
    site.approve_run("run-2")
    assert part(browser, "approvals") == "No run waits for a person."
    write_policy(site, "")
    assert "asks for no approval" in part(browser, "approvals")


def test_the_policy_is_in_sentences(browser: httpx.Client, site: Site) -> None:
    policy = part(browser, "policy")
    assert "A person at this site has to approve each run" in policy
    assert "Rounds begin from 20:00 to 06:00" in policy
    assert "At most epsilon 8 for each patient" in policy
    write_policy(site, 'stages = ["tpt"]\nrequire_secure_sum = true\nmin_sites = 5\n')
    changed = part(browser, "policy")
    assert "Takes part in tpt (on all clips that passed)." in changed
    assert "only masked, into a sum over at least 5 sites" in changed


def test_a_new_site_has_nothing_to_show_and_says_what_to_do(tmp_path: Path) -> None:
    with (
        page_server(init_site(tmp_path / "new", code="a")) as door,
        httpx.Client(base_url=door.home, follow_redirects=True, timeout=60.0) as client,
    ):
        page = said(client.get(f"/?token={door.token}").text)
    for sentence in (
        "The trainer is not running. ophora site serve --site SITE starts it.",
        "Nothing is curated yet. ophora site curate VIDEO_DIR --site SITE makes clips.",
        "This site has not joined a federation. ophora site join CODE.kit --site SITE does",
        "No round has trained on this site's patients.",
        "Nothing has left this site.",
    ):
        assert sentence in page
    assert "does not" not in page
    assert not (tmp_path / "new" / "manifest.sqlite").exists()
    assert not list((tmp_path / "new" / "logs").iterdir())


def lose_ledger(site: Site) -> None:
    site.ledger_path.unlink()


def break_ledger(site: Site) -> None:
    with sqlite3.connect(site.ledger_path) as connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute("UPDATE entries SET body = replace(body, 'run-1', 'run-9')")


def change_line(site: Site) -> None:
    path = site.logs_dir / "sent.jsonl"
    path.write_text(path.read_text().replace('"steps": 10.0', '"steps": 9.0', 1))


def lose_log(site: Site) -> None:
    (site.logs_dir / "sent.jsonl").unlink()


def garble_head(site: Site) -> None:
    (site.logs_dir / "sent.head").write_bytes(b"\xff\xfe")


def unreadable_log(site: Site) -> None:
    lose_log(site)
    (site.logs_dir / "sent.jsonl").mkdir()


def garble_manifest(site: Site) -> None:
    for path in site.folder.glob("manifest.sqlite*"):
        path.unlink()
    site.manifest_path.write_bytes(b"no database" * 100)


def garble_authority(site: Site) -> None:
    site.authority_path.write_text("no certificate")


def harm_settings(site: Site) -> None:
    write_policy(site, "hours = 7\n")


def lose_settings(site: Site) -> None:
    (site.folder / "site.toml").unlink()


BAD = (
    (lose_ledger, "budget", "The ledger does not hold, and no round trains (ledger.sqlite: not"),
    (break_ledger, "budget", "entry 2: its hash doesn't follow"),
    (
        change_line,
        "sent",
        "The record of what was sent is not what was written. sent.jsonl: line 1",
    ),
    (lose_log, "sent", "ends at line 0 where 15 were written"),
    (garble_head, "sent", "sent.head: can't be read"),
    (unreadable_log, "sent", "A file of the site's folder can't be read."),
    (change_line, "approvals", "Which runs wait can't be told"),
    (garble_manifest, "now", "The manifest of clips can't be read."),
    (garble_authority, "now", "The coordinator's certificate can't be read"),
    (harm_settings, "policy", "policy.toml can't be used, so every round is declined."),
    (harm_settings, "budget", "policy.toml can't be used"),
    (lose_settings, "policy", "site.toml or policy.toml can't be used"),
)


@pytest.mark.parametrize(("harm", "name", "sentence"), BAD)
def test_what_is_broken_is_a_sentence_with_a_remedy_and_the_rest_is_shown(
    browser: httpx.Client, site: Site, harm, name: str, sentence: str
) -> None:
    harm(site)
    shown = browser.get(f"/parts/{name}").text
    assert sentence in said(shown).replace("&#39;", "'")
    assert 'role="alert"' in shown
    assert "verifies" not in shown
    assert str(site.folder) not in shown
    for each in PARTS:
        assert browser.get(f"/parts/{each}").status_code == 200
    assert browser.get("/").status_code == 200
    assert browser.get("/messages/9").status_code == 200
    assert browser.get("/budget-wide.png").status_code in (200, 404)


def test_a_folder_that_is_no_site_is_said_by_the_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["page", "--site", str(tmp_path)])
    assert result.exit_code == 1
    assert "no site.toml" in str(result.exception)


@pytest.mark.slow
def test_the_command_prints_the_link_and_ends_with_ctrl_c(site: Site) -> None:
    command = "from ophora_client.site_cli import app; app()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "page", "--site", str(site.folder), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    link = process.stdout.readline().split()[-1]
    assert link.startswith("http://127.0.0.1:")
    with httpx.Client(follow_redirects=True, timeout=60.0) as client:
        assert "site-a" in client.get(link).text
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
